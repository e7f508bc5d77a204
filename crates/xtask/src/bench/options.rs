//! The command line of the bench.

use std::path::PathBuf;
use std::time::Duration;

use super::trouble::Trouble;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Headworks beside HAProxy and nginx, on the same work, interleaved.

usage: cargo run -p xtask -- bench [options]
  --quick          ends within 50 seconds: 128 B bodies, 10,000 rules, reload under load
  --only NAME      this case only; may be given again. Cases: 128b-1 128b-64 128b-512 10k-64 1m-64
                   tls-64 tls-handshakes tls-resumed h2-64 h3-64 grpc-unary
                   tcp-echo tcp-stream tcp-short udp rules resilience idle slow-clients reload
  --runs N         measured runs of each contender in each case (quick 3, full 5)
  --seconds N      length of one measured run (quick 2, full 4)
  --binary PATH    the headworks to measure; absent: cargo build --release -p headworks-server
  --before PATH    another headworks, measured beside the first: did this change pay?
  --urgent         before everything else on the machine, which hardly gets on meanwhile (root; restored at the end)
  --keep           leave the configurations and logs of all processes in the temporary folder";

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Few and short runs.
    pub(crate) quick: bool,
    /// Names of cases; empty: those of the mode.
    pub(crate) only: Vec<String>,
    runs: Option<u32>,
    seconds: Option<u32>,
    /// The program to measure.
    pub(crate) binary: Option<PathBuf>,
    /// The program to compare with.
    pub(crate) before: Option<PathBuf>,
    /// Take the cores from other programs.
    pub(crate) urgent: bool,
    /// Leave the temporary folder.
    pub(crate) keep: bool,
    /// Print the help and stop.
    pub(crate) help: bool,
}

impl Options {
    /// Reads the arguments after `bench`.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, Trouble> {
        let mut options = Options::default();
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let mut value = || inline.clone().or_else(|| args.next()).ok_or_else(|| usage(&name, "needs a value"));
            match name.as_str() {
                "--quick" => options.quick = true,
                "--urgent" => options.urgent = true,
                "--keep" => options.keep = true,
                "--help" | "-h" => options.help = true,
                "--only" => options.only.push(value()?),
                "--runs" => options.runs = Some(number(&name, &value()?, 100)?),
                "--seconds" => options.seconds = Some(number(&name, &value()?, 60)?),
                "--binary" => options.binary = Some(value()?.into()),
                "--before" => options.before = Some(value()?.into()),
                _ => return Err(usage(&name, "is not an option")),
            }
        }
        Ok(options)
    }

    /// Measured runs of each contender in each case.
    pub(crate) fn runs(&self) -> u32 {
        self.runs.unwrap_or(if self.quick { 3 } else { 5 })
    }

    /// Length of one measured run.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 2 } else { 4 }).into())
    }

    /// Whether these are results to keep by date: every case, with enough runs.
    pub(crate) fn is_official(&self) -> bool {
        !self.quick && self.only.is_empty() && self.before.is_none() && self.runs() >= 5
    }
}

fn number(name: &str, text: &str, most: u32) -> Result<u32, Trouble> {
    match text.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        _ => Err(usage(name, &format!("is a number from 1 to {most}"))),
    }
}

fn usage(name: &str, what: &str) -> Trouble {
    Trouble::Usage(format!("{name} {what}; see --help"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Trouble> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn values_come_after_a_space_or_an_equals_sign() {
        let spaced = parse("--quick --only rules --only idle --runs 2").unwrap();
        assert_eq!(spaced, parse("--quick --only=rules --only=idle --runs=2").unwrap());
        assert_eq!((spaced.runs(), spaced.only), (2, vec!["rules".to_owned(), "idle".to_owned()]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in ["--runs 0", "--runs", "--runs many", "--fast", "--seconds 100000"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn only_a_whole_run_is_kept_by_date() {
        assert!(parse("").unwrap().is_official());
        for line in ["--quick", "--only idle", "--runs 1", "--before x"] {
            assert!(!parse(line).unwrap().is_official(), "{line}");
        }
    }
}
