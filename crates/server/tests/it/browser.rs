//! A real browser: Chromium, which speaks HTTP/2 by ALPN.

use std::process::Command;

use headworks_testkit::{Authority, Origin, Step};
use serde_json::Value;

use crate::start;
use crate::tls::{folder, secure};

const PAGE: &str = "<!doctype html><title>shop</title><body><p id=said>nothing</p><script>\
    fetch('/stock', { method: 'POST', body: 'x'.repeat(100000) }).then(answer => answer.json())\
    .then(echo => document.getElementById('said').textContent = 'echoed ' + echo.body_length)</script>";

#[test]
fn a_page_that_asks_for_more() {
    let folder = folder();
    Authority::new("Test Authority").issue(&["localhost"]).place(folder.path(), "a");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
    let page = format!("{head}Content-Length: {}\r\n\r\n{PAGE}", PAGE.len());
    let web = Origin::new("web").on("/", [Step::send(&page)]).start();
    let log = ", access_log: { path: access.log, format: json }, compression: [br, gzip]";
    let headworks = start(&secure(folder.path(), &["a"], log, ""), &[("web", &web)]);
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors"])
        .arg(format!("--user-data-dir={}", folder.path().join("browser").display()))
        // the page's own clock runs ahead while it waits for nothing
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("https://{}/", headworks.address()));
    let said = command.output().unwrap_or_else(|error| panic!("no browser (make packages): {error}"));
    let (dom, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(dom.contains("echoed 100000"), "{dom}\n{errors}");
    let lines = headworks.log_lines("access.log", 2);
    for target in ["/", "/stock"] {
        let line = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = line.into_iter().find(|line| line["target"] == target);
        let line = line.unwrap_or_else(|| panic!("{target} is not in {lines:?}"));
        assert_eq!((&line["version"], &line["status"]), (&"HTTP/2.0".into(), &200.into()), "{line}");
        assert_eq!(line["tls_version"], "TLSv1.3");
    }
}
