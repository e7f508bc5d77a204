//! Times as texts.

use super::hunt::keep_shape;
use crate::time::{basic, iso, parse_basic, parse_iso};

pub(super) const SEEDS: &[&[u8]] = &[
    b"20150830T123600Z",
    b"2015-08-30T12:36:00Z",
    b"2000-02-29 23:59:59.25+02:00",
    b"9999-12-31T00:00-11:30",
    b"1440938160.5",
    b"1970-01-01",
];

/// A basic time has one spelling; another one is a time of the day that it says, give or take the offset, or a number.
pub(super) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let seconds = parse_basic(&text);
    if let Some(seconds) = seconds {
        assert_eq!(basic(seconds), text);
        assert_eq!(parse_iso(&iso(seconds)), Some(seconds as f64));
    }
    let at = parse_iso(&text);
    if let Some(at) = at.filter(|_| text.parse::<f64>().is_err()) {
        let day = text.get(..10).map(|day| day.replace('-', "") + "T000000Z");
        let day = day.and_then(|day| parse_basic(&day)).unwrap_or_else(|| panic!("{text} is no day"));
        assert!((at - day as f64).abs() <= 2.0 * 86_400.0, "{text} is {at}");
    }
    assert!(at.is_none_or(f64::is_finite));
    keep_shape(format!("{} {:?} {}", seconds.is_some(), at.map(|at| (at as i64).checked_ilog10()), text.len().min(40)));
}
