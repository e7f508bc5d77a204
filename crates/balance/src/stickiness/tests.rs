//! Cookies that must open, and the many that must not.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::cookie::LONGEST_SHARD;

const HOUR: u64 = 3600;

fn keyring() -> Keyring {
    Keyring::new([7; 32], 0).unwrap()
}

fn sticky() -> Sticky {
    Sticky { target: TargetKey::of("10.0.0.1:80"), group: GroupKey::of("web"), issued: 100, expires: 100 + HOUR }
}

/// Sealed as one kind, opened as another at a time.
#[track_caller]
fn check(sealed: Kind, opened: Kind, now: UnixSeconds, expected: Result<(), StickyError>) {
    let text = keyring().seal(sealed, &sticky(), [9; 12]).unwrap();
    assert_eq!(text.len(), TEXT_LENGTH);
    assert_eq!(keyring().open(opened, &text, now), expected.map(|()| sticky()), "{sealed:?} as {opened:?} at {now}");
}

#[test]
fn kinds_and_times() {
    let application = |cookie| Kind::Application { cookie };
    for kind in [Kind::Target, Kind::Group, application(5)] {
        check(kind, kind, 100, Ok(()));
        check(kind, kind, 99 + HOUR, Ok(()));
        check(kind, kind, 100 + HOUR, Err(StickyError::Expired));
        check(kind, kind, u64::MAX, Err(StickyError::Expired));
    }
    check(Kind::Target, Kind::Group, 100, Err(StickyError::NotOurs));
    check(Kind::Group, Kind::Target, 100, Err(StickyError::NotOurs));
    check(Kind::Target, application(0), 100, Err(StickyError::NotOurs));
    check(application(0), Kind::Target, 100, Err(StickyError::NotOurs));
    check(application(5), application(6), 100, Err(StickyError::NotOurs));
    // A cookie of another kind does not even show that it expired.
    check(Kind::Group, Kind::Target, u64::MAX, Err(StickyError::NotOurs));
}

#[test]
fn fits_one_shard_and_needs_no_quoting() {
    const { assert!(TEXT_LENGTH <= LONGEST_SHARD) };
    let text = keyring().seal(Kind::Target, &sticky(), [0xff; 12]).unwrap();
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
}

#[test]
fn the_target_cannot_be_read() {
    let text = keyring().seal(Kind::Target, &sticky(), [9; 12]).unwrap();
    let bytes = base64url::decode::<SEALED_BYTES>(&text).unwrap();
    let target = sticky().target.0.to_be_bytes();
    assert!(!bytes.windows(8).any(|window| window == target));
}

#[test]
fn keys_come_and_go() {
    let mut keyring = keyring();
    let text = keyring.seal(Kind::Target, &sticky(), [1; 12]).unwrap();
    keyring.rotate([8; 32], 200, Duration::from_secs(HOUR)).unwrap();
    assert!(keyring.open(Kind::Target, &text, 300).is_ok(), "the old key still opens");
    let newer = keyring.seal(Kind::Target, &sticky(), [1; 12]).unwrap();
    let without = Keyring::new([7; 32], 0).unwrap();
    assert_eq!(without.open(Kind::Target, &newer, 300), Err(StickyError::NotOurs));
    let imported = Keyring::import(&keyring.export()).unwrap();
    assert!(imported.open(Kind::Target, &text, 300).is_ok() && imported.open(Kind::Target, &newer, 300).is_ok());
    keyring.rotate([9; 32], 201 + HOUR, Duration::from_secs(HOUR)).unwrap();
    assert_eq!(keyring.open(Kind::Target, &text, 300), Err(StickyError::NotOurs), "its key was dropped");
}

#[test]
fn every_flipped_bit_and_every_other_length_is_refused() {
    let text = keyring().seal(Kind::Target, &sticky(), [9; 12]).unwrap();
    let bytes = base64url::decode::<SEALED_BYTES>(&text).unwrap();
    for bit in 0..SEALED_BYTES * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(keyring().open(Kind::Target, &base64url::encode(&flipped), 100).is_err(), "bit {bit}");
    }
    for cut in 0..text.len() {
        assert_eq!(keyring().open(Kind::Target, &text[..cut], 100), Err(StickyError::Malformed));
    }
    assert_eq!(keyring().open(Kind::Target, &format!("{text}AAAA"), 100), Err(StickyError::Malformed));
    assert_eq!(keyring().open(Kind::Target, &"A".repeat(1 << 20), 100), Err(StickyError::Malformed));
}

proptest! {
    #[test]
    fn what_is_sealed_opens(target: u64, group: u64, issued: u64, expires in 1u64.., nonce: [u8; 12], cookie: u64) {
        let sticky = Sticky { target: TargetKey(target), group: GroupKey(group), issued, expires };
        let kind = Kind::Application { cookie };
        let text = keyring().seal(kind, &sticky, nonce).unwrap();
        prop_assert_eq!(keyring().open(kind, &text, expires - 1), Ok(sticky));
    }

    #[test]
    fn any_change_of_a_character_is_refused(place in 0..TEXT_LENGTH, character in "[A-Za-z0-9_=+/ -]", nonce: [u8; 12]) {
        let mut text = keyring().seal(Kind::Target, &sticky(), nonce).unwrap();
        prop_assume!(text[place..=place] != character);
        text.replace_range(place..=place, &character);
        prop_assert!(keyring().open(Kind::Target, &text, 100).is_err());
    }

    #[test]
    fn garbage_is_refused(text in "\\PC{0,200}", letters in "[A-Za-z0-9_-]{84}") {
        prop_assert!(keyring().open(Kind::Target, &text, 100).is_err());
        prop_assert!(keyring().open(Kind::Group, &letters, 100).is_err());
    }
}
