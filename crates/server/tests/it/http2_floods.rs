//! HTTP/2 clients that mean harm: each can cost so much and no more, and is told so with ENHANCE_YOUR_CALM where there is
//! somebody to tell.

use headworks_testkit::frames::code::{CANCEL, ENHANCE_YOUR_CALM};
use headworks_testkit::frames::flag::{ACK, END_HEADERS, END_STREAM, NONE};
use headworks_testkit::frames::{
    PREFACE, block, data, frame, headers, kind, ping, request, reset, setting, settings, window,
};
use headworks_testkit::stream::End;
use headworks_testkit::{Client, Gate, Headworks, Origin, Step, ask, check, wait};

use crate::{proxy, start};

/// Resident memory in KiB.
fn resident(headworks: &Headworks) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", headworks.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
}

/// Time that the program has computed for, in hundredths of a second.
fn computed(headworks: &Headworks) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", headworks.pid())).unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    behind_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Reads until the connection ends: the code of the last GOAWAY.
fn farewell(client: &mut Client) -> (Option<u32>, End) {
    let mut code = None;
    loop {
        match client.frame() {
            Ok(frame) if frame.kind == kind::GOAWAY => code = frame.code(),
            Ok(_) => {}
            Err(end) => return (code, end),
        }
    }
}

/// A client that writes one thing over and over is told to calm down, and the rest of the program does not notice.
#[test]
fn floods() {
    let web = Origin::new("web").on("/held", [Step::ReadToEnd]).lenient().start();
    let headworks = start(&format!("workers: 1\n{}", proxy("", "")), &[("web", &web)]);
    let held = (0..128).flat_map(|n| headers(END_STREAM, 2 * n + 1, request("/held", &[]))).collect();
    let get = |stream: u32| headers(END_STREAM, stream, request("/", &[]));
    let post = headers(NONE, 1, block(&[":method: POST", ":scheme: http", ":authority: a", ":path: /"]));
    let open = frame(kind::HEADERS, NONE, 1, request("/", &[]));
    let long = frame(kind::CONTINUATION, NONE, 1, block(&[&format!("x: {}", "y".repeat(8000))]));
    let huge =
        frame(kind::CONTINUATION, NONE, 1, [&[0, 1, b'x', 127, 255, 255, 255, 127][..], &[b'y'; 16000]].concat());
    type Flood = Box<dyn Fn(u32) -> Vec<u8>>;
    // what comes first, what then comes over and over, and how often at most
    let rows: Vec<(&str, Vec<u8>, Flood, u32)> = vec![
        ("rapid reset", vec![], Box::new(move |n| [get(2 * n + 1), reset(2 * n + 1, CANCEL)].concat()), 50_000),
        ("SETTINGS", vec![], Box::new(|_| settings(&[(setting::INITIAL_WINDOW_SIZE, 100)])), 50_000),
        ("SETTINGS that are many", vec![], Box::new(|_| settings(&[(setting::ENABLE_PUSH, 0); 2000])), 20_000),
        ("PING", vec![], Box::new(|_| ping([1; 8])), 50_000),
        ("PING answers", vec![], Box::new(|_| frame(kind::PING, ACK, 0, [1; 8])), 50_000),
        ("PRIORITY", vec![], Box::new(|n| frame(kind::PRIORITY, NONE, 2 * n + 1, [0; 5])), 50_000),
        ("unknown frames", vec![], Box::new(|_| frame(0xfa, NONE, 0, "")), 50_000),
        ("tiny WINDOW_UPDATEs", vec![], Box::new(|_| window(0, 1)), 50_000),
        ("tiny WINDOW_UPDATEs of a stream", post.clone(), Box::new(|_| window(1, 1)), 50_000),
        ("resets of one stream", post.clone(), Box::new(|_| reset(1, CANCEL)), 50_000),
        (
            "malformed requests",
            vec![],
            Box::new(|n| headers(END_STREAM, 2 * n + 1, request("/", &["connection: x"]))),
            50_000,
        ),
        (
            "requests above the limit",
            held,
            Box::new(|n| headers(END_STREAM, 2 * n + 257, request("/held", &[]))),
            50_000,
        ),
        ("empty DATA", post, Box::new(|_| data(NONE, 1, "")), 50_000),
        ("empty CONTINUATIONs", open.clone(), Box::new(|_| frame(kind::CONTINUATION, NONE, 1, "")), 1000),
        ("long CONTINUATIONs", open.clone(), Box::new(move |_| long.clone()), 1000),
        ("one field in CONTINUATIONs", open, Box::new(move |_| huge.clone()), 1000),
    ];
    check(
        rows,
        |row| row.0,
        |(_, first, flood, times)| {
            let mut client = headworks.client();
            client.begin_http2(&[]).send(first);
            let (before, busy) = (resident(&headworks), computed(&headworks));
            let mut writer = client.twin();
            let writing: Vec<u8> = (0..*times).flat_map(flood).collect();
            let writing = std::thread::spawn(move || {
                writer.send_anyway(writing);
            });
            let (code, end) = farewell(&mut client);
            assert!(matches!(end, End::Closed | End::Reset), "{end}");
            let busy = computed(&headworks) - busy;
            assert!(busy < 600, "{busy} hundredths of a second");
            assert!(matches!(code, Some(ENHANCE_YOUR_CALM)), "{code:?}");
            let grown = resident(&headworks).saturating_sub(before);
            assert!(grown < 32 * 1024, "{grown} KiB");
            drop(client);
            assert!(writing.join().is_ok());
            assert_eq!(headworks.ask(&ask("GET", "/other")).status, 200);
        },
    );
    drop(web.malformed());
}

/// H2: fields of more than 64 KiB. The stream is refused, the connection goes on.
#[test]
fn long_heads() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.begin_http2(&[]);
    let send = |client: &mut Client, stream: u32, fields: usize, length: usize| {
        let value = "v".repeat(length);
        let fields: Vec<String> = (0..fields).map(|n| format!("x-{n}: {value}")).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let whole = request("/", &fields);
        let mut pieces = whole.chunks(16_000).peekable();
        let mut kind = kind::HEADERS;
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { END_HEADERS } else { NONE };
            let flags = if kind == kind::HEADERS { flags | END_STREAM } else { flags };
            client.send_anyway(frame(kind, flags, stream, piece));
            kind = kind::CONTINUATION;
        }
        let answer = client.frame_until("an answer", |frame| frame.stream == stream && frame.status().is_some());
        answer.status()
    };
    assert_eq!(send(&mut client, 1, 60, 1000), Some(200), "below");
    assert_eq!(send(&mut client, 3, 70, 1000), Some(400), "above all");
    assert_eq!(send(&mut client, 5, 1, 15_000), Some(200), "one long field");
    assert_eq!(send(&mut client, 7, 1, 17_000), Some(400), "one field above");
    assert_eq!(send(&mut client, 9, 0, 0), Some(200), "the connection goes on");
    let long = format!("/{}", "p".repeat(17_000));
    let uri = request(&long, &[]);
    let (first, second) = uri.split_at(10_000);
    client.send(
        [frame(kind::HEADERS, END_STREAM, 11, first), frame(kind::CONTINUATION, END_HEADERS, 11, second)].concat(),
    );
    let answer = client.frame_until("an answer", |frame| frame.stream == 11 && frame.status().is_some());
    assert_eq!(answer.status(), Some(414));
}

/// More streams than are allowed at once are refused, unharmed (RFC 9113 section 5.1.2).
#[test]
fn more_streams_than_allowed() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.begin_http2(&[]);
    let settings = client.frame_until("settings", |frame| frame.kind == kind::SETTINGS && frame.flags != ACK);
    let promised = [&setting::MAX_CONCURRENT_STREAMS.to_be_bytes()[..], &128_u32.to_be_bytes()].concat();
    assert!(settings.payload.chunks(6).any(|setting| setting == promised), "{settings:x?}");
    for stream in 0..130 {
        client.send(headers(END_STREAM, 2 * stream + 1, request("/held", &[])));
    }
    for _ in 0..2 {
        let refused = client.frame_until("a refusal", |frame| frame.kind == kind::RST_STREAM);
        assert_eq!((refused.code(), refused.stream > 256), (Some(7), true), "{refused:x?}");
    }
    web.wait_heads(128);
    gate.open();
    for _ in 0..128 {
        let answer = client.frame_until("an answer", |frame| frame.status().is_some());
        assert_eq!(answer.status(), Some(200));
    }
}

/// A client that asks for much on every stream and reads nothing: what waits for it is bounded, and so is the time.
#[test]
fn clients_that_do_not_read() {
    let body = vec![b'x'; 4_000_000];
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(&body);
    let web = Origin::new("web").on("/big", [Step::Send(answer)]).start();
    let headworks =
        start(&format!("workers: 1\n{}", proxy(", idle_timeout: 2s", ", response_timeout: 2s")), &[("web", &web)]);
    let before = resident(&headworks);
    // windows without end: then it is the socket that is full; and without an opening: then it is the window
    for window in [0x7fff_ffff, 0] {
        let mut client = headworks.client();
        client.begin_http2(&[(setting::INITIAL_WINDOW_SIZE, window)]);
        client.send(frame(kind::WINDOW_UPDATE, NONE, 0, (0x7fff_ffff_u32 - 65535).to_be_bytes()));
        let (mut most, busy) = (0, computed(&headworks));
        for stream in 0..128 {
            client.send(headers(END_STREAM, 2 * stream + 1, request("/big", &[])));
        }
        wait::until("the requests to be over", || {
            most = most.max(resident(&headworks).saturating_sub(before));
            let open = headworks.metrics().sum("headworks_target_in_flight_requests", &[]);
            (web.received().len() >= 128 && open == 0.0).then_some(())
        });
        assert!(most < 96 * 1024, "window {window}: {most} KiB");
        let busy = computed(&headworks) - busy;
        assert!(busy < 150, "window {window}: waited busily, {busy} hundredths of a second");
        web.forget();
        wait::until("the connection to be over", || {
            (headworks.metrics().sum("headworks_active_connections", &[]) == 0.0).then_some(())
        });
    }
    assert_eq!(headworks.ask(&ask("GET", "/")).status, 200);
}

/// A preface, or what must follow it, that does not come in time.
#[test]
fn stalled_beginnings() {
    let web = Origin::echo("web");
    let headworks = start(&proxy(", idle_timeout: 1s", ""), &[("web", &web)]);
    let begun = [PREFACE, &settings(&[])].concat();
    let rows: [(&str, &[u8]); 4] = [
        ("a part of the preface", &PREFACE[..10]),
        ("the preface", PREFACE),
        ("half of the settings", &begun[..30]),
        ("a head that does not end", &[&begun[..], &frame(kind::HEADERS, END_STREAM, 1, request("/", &[]))].concat()),
    ];
    check(
        rows,
        |row| row.0,
        |(_, bytes)| {
            let mut client = headworks.client();
            client.send(bytes);
            let (_, end) = client.rest();
            assert!(matches!(end, End::Closed | End::Reset), "{end}");
        },
    );
    assert_eq!(web.received().len(), 0);
}
