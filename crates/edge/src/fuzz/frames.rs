//! Changes to bytes that are frames of HTTP/2, such that most of what comes of them are frames still.

use headworks_testkit::frames::PREFACE;

use super::mutate::{Random, mutate};

/// Changes what follows a client's preface; sometimes that itself.
pub(super) fn mutate_behind_preface(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    if !input.starts_with(PREFACE) || random.below(64) == 0 {
        return mutate_frames(input, other, limit, random);
    }
    let mut behind = input.split_off(PREFACE.len());
    mutate_frames(&mut behind, other.strip_prefix(PREFACE).unwrap_or(other), limit, random);
    input.append(&mut behind);
}

/// Changes frames, or, now and then, bytes.
pub(super) fn mutate_frames(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    let mut frames = split(input);
    let others = split(other);
    if frames.is_empty() || others.is_empty() || random.below(8) == 0 {
        return mutate(input, other, limit, random);
    }
    for _ in 0..=random.below(3) {
        let at = random.below(frames.len());
        match random.below(8) {
            0 if frames.len() > 1 => drop(frames.remove(at)),
            1 => {
                let with = random.below(frames.len());
                frames.swap(at, with);
            }
            2 => frames.insert(at, frames[random.below(frames.len())].clone()),
            3 => frames.insert(at, others[random.below(others.len())].clone()),
            // type, flags, stream
            4 => frames[at][3 + random.below(2)] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x24, 0xff][random.below(12)],
            5 => frames[at][8] = random.below(12) as u8,
            // the content, and its length with it
            6 => {
                let mut payload = frames[at].split_off(9);
                let with = &others[random.below(others.len())];
                mutate(&mut payload, &with[9..], limit, random);
                set_length(&mut frames[at], payload.len());
                frames[at].append(&mut payload);
            }
            // a length that is not that of the content
            _ => {
                let length = random.below(20_000) >> random.below(12);
                set_length(&mut frames[at], length);
            }
        }
    }
    *input = frames.concat();
    input.truncate(limit);
}

fn set_length(frame: &mut [u8], length: usize) {
    for (place, shift) in frame.iter_mut().zip([16, 8, 0]) {
        *place = (length >> shift) as u8;
    }
}

/// The frames, each with at least its nine bytes; what is left at the end goes with the last.
fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while bytes.len() >= 9 {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let (frame, rest) = bytes.split_at((9 + length).min(bytes.len()));
        frames.push(frame.to_vec());
        bytes = rest;
    }
    if let Some(last) = frames.last_mut() {
        last.extend_from_slice(bytes);
    }
    frames
}
