//! A real browser: Chromium, which speaks HTTP/2 by ALPN, and HTTP/3 where it knows of it.

use std::path::Path;
use std::process::Command;

use headworks_testkit::{Authority, Headworks, Origin, Step};
use serde_json::Value;

use crate::start;
use crate::tls::{folder, secure};

const PAGE: &str = "<!doctype html><title>shop</title><body><p id=said>nothing</p><script>\
    fetch('/stock', { method: 'POST', body: 'x'.repeat(100000) }).then(answer => answer.json())\
    .then(echo => document.getElementById('said').textContent = 'echoed ' + echo.body_length)</script>";

#[test]
fn a_page_that_asks_for_more() {
    browse("HTTP/2.0", "", |_, _| Vec::new());
}

/// The browser is told where HTTP/3 is: what it has from Alt-Svc it would use from the next visit on. It takes no certificate
/// over QUIC whose key it does not know, whatever else it is told to ignore.
#[test]
fn a_page_over_http3() {
    browse("HTTP/3.0", ", http3: true", |headworks, folder| {
        let pin = Command::new("sh")
            .args(["-c", PIN, "pin"])
            .arg(folder.join("a.pem"))
            .output()
            .unwrap_or_else(|error| panic!("no openssl: {error}"));
        let pin = String::from_utf8_lossy(&pin.stdout).trim().to_owned();
        vec![
            "--enable-quic".to_owned(),
            format!("--origin-to-force-quic-on={}", headworks.address()),
            format!("--ignore-certificate-errors-spki-list={pin}"),
        ]
    });
}

/// The hash of a certificate's key.
const PIN: &str = "openssl x509 -in \"$1\" -pubkey -noout | openssl pkey -pubin -outform der \
    | openssl dgst -sha256 -binary | openssl base64";

fn browse(version: &str, listener: &str, arguments: impl Fn(&Headworks, &Path) -> Vec<String>) {
    let folder = folder();
    Authority::new("Test Authority").issue(&["localhost"]).place(folder.path(), "a");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
    let page = format!("{head}Content-Length: {}\r\n\r\n{PAGE}", PAGE.len());
    let web = Origin::new("web").on("/", [Step::send(&page)]).start();
    let log = ", access_log: { path: access.log, format: json }, compression: [br, gzip]";
    let headworks = start(&secure(folder.path(), &["a"], log, listener), &[("web", &web)]);
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors"])
        .arg(format!("--user-data-dir={}", folder.path().join("browser").display()))
        // the page's own clock runs ahead while it waits for nothing
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .args(arguments(&headworks, folder.path()))
        .arg(format!("https://{}/", headworks.address()));
    let said = command.output().unwrap_or_else(|error| panic!("no browser (make packages): {error}"));
    let (dom, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(dom.contains("echoed 100000"), "{dom}\n{errors}");
    let lines = headworks.log_lines("access.log", 2);
    for target in ["/", "/stock"] {
        let line = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = line.into_iter().find(|line| line["target"] == target);
        let line = line.unwrap_or_else(|| panic!("{target} is not in {lines:?}"));
        assert_eq!((&line["version"], &line["status"]), (&version.into(), &200.into()), "{line}");
        assert_eq!(line["tls_version"], "TLSv1.3");
    }
}
