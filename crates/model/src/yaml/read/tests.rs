//! The simple part of the language is read as the parser of the whole of it reads it.

use proptest::prelude::*;

use super::*;

type Told<'t> = Vec<(Event<'t>, Mark)>;

fn whole(text: &str) -> Option<Told<'_>> {
    let mut told = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.ok()?;
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
            // nobody asks where something ends
            Event::MappingEnd | Event::SequenceEnd => told.push((event, Mark::default())),
            event => told.push((event, place(&span.start))),
        }
    }
    Some(told)
}

fn simply(text: &str) -> Option<Told<'_>> {
    let mut told = Vec::new();
    simple::events(text, &mut |event, mark| {
        let is_end = matches!(event, Event::MappingEnd | Event::SequenceEnd);
        told.push((event, if is_end { Mark::default() } else { mark }));
        // as deep as a tree may be
        (told.len() < 10_000).then_some(())
    })?;
    Some(told)
}

#[track_caller]
fn check(text: &str) {
    if let Some(simply) = simply(text) {
        let whole = whole(text).unwrap_or_else(|| panic!("no YAML: {text:?}"));
        let differ = simply.iter().zip(&whole).find(|(simply, whole)| simply != whole);
        assert!(differ.is_none() && simply.len() == whole.len(), "{text:?}\n{differ:?}");
    }
}

#[track_caller]
fn check_simple(text: &str) {
    assert!(simply(text).is_some(), "not simple: {text}");
    check(text);
}

#[test]
fn what_large_files_are_made_of_is_simple() {
    for text in [
        "a: b",
        "a: b\n",
        "# c\n\na: b # c\n# c\nc: 'd'\n",
        "a:\n  b: c\n  d:\n    e: f\ng: h\n",
        "a:\n- b\n- c\nd: e\n",
        "a:\n  - b\n  -   c: d\n      e: f\n  - - g\n    - h\ni: j\n",
        "a: { b: c, d: [e, \"f\", 'g', {}], h: [], }\n",
        "a: [\n  b, # c\n  d,\n  ]\n",
        "a:\n  [b, c]\nd:\n  { e: f }\n",
        "a: http://b/c?d=e#f\nb: 127.0.0.1:80\nc: [127.0.0.1:80, a::1]\nd: /a/*\n",
        "rules:\n  - if: { host: [a.b], path: [/c/*] }\n    then: { forward: d }\n  - if: { path: /e }\n    then: { forward: f }\n",
        "{ a: b, c: { d: e } }",
        "a b: c d\n\"e f\": g\n'h': i\n",
    ] {
        check_simple(text);
    }
}

#[test]
fn the_rest_is_left_to_the_whole_language() {
    for text in [
        "",
        "a",
        "- a: b",
        "a:",
        "a:\nb: c",
        "a: &b c",
        "a: *b",
        "a: !!str b",
        "a: |\n  b\n",
        "a: >\n  b\n",
        "a: \"b\\n\"",
        "a: 'b''c'",
        "a: b\n  c\n",
        "a: \"b\n  c\"\n",
        "? a\n: b\n",
        "a: b: c",
        "a: b\n c: d\n",
        " a: b\nc: d\n",
        "a:\tb",
        "a: \u{e4}",
        "--- \na: b\n",
        "a: b\n---\nc: d\n",
        "a: [b\n]\n",
        "a: [b: c]",
        "a: {b}",
        "a: [b c: d]",
        "a: [,]",
        "a: ]",
        "%YAML 1.2\n---\na: b\n",
        "a: b\r\n",
        "a: @b",
        "a: [b]c",
        "a: 'b'c",
        "a: 'b'#c",
        "a: {b: c}}",
        "a: {b: c",
        "[a]: b",
        "{a: b}: c",
        "a: - b",
        "a: b #c\n  d",
        "a: - b\n",
    ] {
        assert!(simply(text).is_none(), "{text}");
    }
}

/// Pieces that texts of this kind are made of, and some that none are.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "b c",
        "0",
        "-1",
        "- ",
        "-",
        ": ",
        ":",
        ":\n",
        "\n",
        "\n  ",
        "\n    ",
        "  ",
        " ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ",",
        "{ ",
        " }",
        "#",
        " # c",
        "'",
        "\"",
        "'d'",
        "\"e\"",
        "/f/*",
        "1.2.3.4:5",
        "g: h",
        "\n- i",
        "\n  - j",
        "?",
        "? ",
        "&k ",
        "*k",
        "!",
        "|",
        ">",
        "%",
        "@",
        "~",
        "---",
        "...",
        "<<",
        "=",
        "\\",
        "a: ",
        "b: [",
        "c: {",
        "\n  d: ",
        "\ne: ",
    ];
    prop::sample::select(pieces.map(str::to_owned).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_pieces(pieces in prop::collection::vec(piece(), 0..16)) {
        check(&pieces.concat());
    }

    #[test]
    fn of_a_simple_text_with_pieces_put_in(puts in prop::collection::vec((0_usize..400, 0_usize..6, piece()), 1..4)) {
        let mut text = "# c\nx:\n  y: { z: [a, b], w: 'q' }\n  rules:\n    - if: { host: [a.b], path: [/c/*] }\n      then: { forward: d }\n    - if: { path: \"/e\" }\n      then:\n        forward: f # g\nlist:\n- 1.2.3.4:5\n- - i\n  - j\n- k: l\n  m: [\n    n,\n    o]\nlast: [\n  {p: q},\n  r ]\n".to_owned();
        for (at, length, piece) in puts {
            let from = at.min(text.len());
            let to = (from + length).min(text.len());
            text.replace_range(from..to, &piece);
        }
        check(&text);
    }
}
