//! `headworks demo`: three instances of the shop, and a load balancer before them.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use crate::check::{complain, say};
use crate::cli::{Demo, DemoShop};
use crate::file;
use crate::run::{self, Beginning, End, Order, Source};
use crate::shop::{self, Instance, Layout, Parent};

pub(crate) fn main(args: &Demo) -> ExitCode {
    match start(args) {
        Ok(status) => status,
        Err(error) => {
            complain(format_args!("the demo cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// One instance: the process that `demo` starts three times.
pub(crate) fn shop_main(args: DemoShop) -> ExitCode {
    let version = match args.version.parse() {
        Ok(version) => version,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    let parent = if args.detached { Parent::Ignored } else { Parent::Watched };
    let instance = Instance { address: args.address, name: args.instance, version, data: args.data, parent };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(shop::run(instance)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

/// A running instance; its end is the end of its standard input, which is held by the load balancer before it.
struct Shop {
    process: Child,
    address: SocketAddr,
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn start(args: &Demo) -> io::Result<ExitCode> {
    let temporary =
        args.data.is_none().then(|| std::env::temp_dir().join(format!("headworks-demo-{}", std::process::id())));
    let folder: PathBuf = args.data.clone().or(temporary.clone()).unwrap_or_default();
    std::fs::create_dir_all(&folder)?;
    let a = instance("a", "v1", &folder)?;
    let b = instance("b", "v1", &folder)?;
    let c = instance("c", "v2", &folder)?;
    let layout =
        Layout { listener: free(args.port)?, admin: free(args.admin_port)?, v1: [a.address, b.address], v2: c.address };
    let file = folder.join("headworks.yaml");
    std::fs::write(&file, shop::settings(&layout))?;
    let resources = folder.join("shop.yaml");
    std::fs::write(&resources, shop::configuration(&layout))?;
    declare(&resources, &folder)?;
    let mut shops = [a, b, c];
    let held = shops.iter_mut().filter_map(|shop| shop.process.stdin.take()).map(OwnedFd::from).collect();
    let order = Order { source: Source::File(file), watch: true, beginning: Beginning::Anew, held };
    let end = run::run(order, |_| {
        say(shop::what_to_try(&layout));
        say(format_args!(
            "What serves the shop is in the console, and in {}, which `headworks apply` takes. Ctrl-C stops everything.",
            resources.display()
        ));
    });
    if end == End::Replaced {
        // the shop goes on with whoever has taken over, and so does its folder
        shops.into_iter().for_each(std::mem::forget);
        return Ok(end.into());
    }
    drop(shops);
    if let Some(temporary) = temporary {
        let _ = std::fs::remove_dir_all(temporary);
    }
    Ok(end.into())
}

/// Has what serves the shop come by the API, so that it can be changed there: each time anew, for instances listen elsewhere.
fn declare(resources: &Path, folder: &Path) -> io::Result<()> {
    let loaded = file::load(resources).map_err(|refused| io::Error::other(refused.to_string()))?;
    let place = headworks_control::Place::in_folder(&folder.join("state"));
    headworks_control::seed(&place, &loaded.config, "the demo begins").map_err(io::Error::other)
}

/// The port on loopback, or a free one when it is taken or 0.
fn free(port: u16) -> io::Result<SocketAddr> {
    let try_port = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|l| l.local_addr());
    try_port(port).or_else(|_| try_port(0))
}

fn instance(name: &str, version: &str, data: &Path) -> io::Result<Shop> {
    let mut process = Command::new(std::env::current_exe()?)
        .args(["demo-shop", "--address", "127.0.0.1:0", "--instance", name, "--version", version, "--data"])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is for the load balancer, which drains first; the instances end with it
        .process_group(0)
        .spawn()?;
    let mut line = String::new();
    if let Some(out) = process.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    match line.trim().parse() {
        Ok(address) => Ok(Shop { process, address }),
        Err(_) => {
            drop(process.stdin.take());
            let _ = process.wait();
            Err(io::Error::other(format!("instance {name} did not say where it listens")))
        }
    }
}
