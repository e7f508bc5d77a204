//! The console's files, which are in the binary, below `/console/`. A page of theirs may load nothing from elsewhere and run
//! nothing that is not in a file of its own.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use rust_embed::{Embed, EmbeddedFile};

/// What the build of `console/` has left; nothing in a checkout that has not built it.
#[derive(Embed)]
#[folder = "../../console/dist/"]
#[allow_missing = true]
struct Files;

const FIRST: &str = "index.html";
/// What is hashed into its name never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const MISSING: &str = "This program was built without its console. `make run` and `make release` build it, with Node.js 18 or newer \
                       and npm; everything that it does can be done with the command line and the API as well.\n";

/// Its routes.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let home = || async { Redirect::to("/console/") };
    Router::new()
        .route("/", any(home))
        .route("/console", any(home))
        .route("/console/", any(serve))
        .route("/console/{*path}", any(serve))
}

async fn serve(request: Request) -> Response {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    if Files::get(FIRST).is_none() {
        return (StatusCode::NOT_FOUND, MISSING).into_response();
    }
    let path = request.uri().path().strip_prefix("/console/").unwrap_or_default();
    let path = if path.is_empty() { FIRST } else { path };
    let accepts = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let packed = accepts.filter(|accepts| takes_gzip(accepts)).and_then(|_| Files::get(&format!("{path}.gz")));
    let is_packed = packed.is_some();
    let Some(file) = packed.or_else(|| Files::get(path)).filter(|_| !path.ends_with(".gz")) else {
        return (StatusCode::NOT_FOUND, "there is no such file in the console\n").into_response();
    };
    let tag = tag(&file);
    let is_known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { file.data.into_response() };
    let fields = response.headers_mut();
    let mut put = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            fields.insert(name, value);
        }
    };
    put(header::ETAG, &tag);
    put(header::VARY, "accept-encoding");
    put(header::CACHE_CONTROL, if path.starts_with("assets/") { FOR_EVER } else { "no-cache" });
    put(header::CONTENT_TYPE, kind(path));
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::CONTENT_SECURITY_POLICY, POLICY);
    put(header::REFERRER_POLICY, "no-referrer");
    put(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if is_packed {
        put(header::CONTENT_ENCODING, "gzip");
    }
    response
}

fn takes_gzip(accepts: &str) -> bool {
    accepts.split(',').any(|one| {
        let (coding, quality) = one.split_once(';').unwrap_or((one, ""));
        coding.trim().eq_ignore_ascii_case("gzip") && !["q=0", "q=0.0", "q=0.00", "q=0.000"].contains(&quality.trim())
    })
}

fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    hash.iter().take(12).fold("\"".to_owned(), |tag, byte| format!("{tag}{byte:02x}")) + "\""
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::takes_gzip;

    #[test]
    fn who_takes_gzip_says_so() {
        for (accepts, expected) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("GZIP", true),
            ("gzip;q=0", false),
            ("br", false),
            ("x-gzip", false),
        ] {
            assert_eq!(takes_gzip(accepts), expected, "{accepts}");
        }
    }
}
