//! How an authority is spoken to: HTTPS with bounds, and an ear for what it asks to be left alone for.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use super::schedule::LONGEST_ASKED;

/// From a request to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A chain of certificates is some KiB.
const LARGEST: usize = 1024 * 1024;
/// Characters that are told of what an authority says.
const LONGEST_TOLD: usize = 1000;

/// Why a file of authorities cannot be used.
#[derive(Debug)]
pub(crate) enum CannotTrust {
    Unreadable(pem::Error),
    Empty,
    Malformed(rustls::Error),
}

impl fmt::Display for CannotTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CannotTrust::Unreadable(error) => write!(f, "cannot be read ({error})"),
            CannotTrust::Empty => f.write_str("has no certificate in it"),
            CannotTrust::Malformed(error) => write!(f, "has something in it that is no certificate ({error})"),
        }
    }
}

impl std::error::Error for CannotTrust {}

/// The authorities that a directory's own certificate is verified by: those of a file, or of the system.
///
/// # Errors
/// When the file is not one of certificates.
pub(crate) fn trusted(ca: Option<&Path>) -> Result<RootCertStore, CannotTrust> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            tracing::warn!(errors = ?found.errors, "the system trusts no authority, none can be spoken to without acme.ca");
        }
        roots.add_parsable_certificates(found.certs);
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(CannotTrust::Unreadable)? {
        roots.add(certificate.map_err(CannotTrust::Unreadable)?).map_err(CannotTrust::Malformed)?;
    }
    if roots.is_empty() { Err(CannotTrust::Empty) } else { Ok(roots) }
}

/// What an authority last asked to be left alone for, with the refusal that said so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Arc<Mutex<Option<Duration>>>);

impl Asked {
    /// Takes it, for the attempt that is over.
    pub(crate) fn take(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Hears what an answer says, and leaves of it what can be waited for: no clock goes on for as long as an authority may write.
    pub(super) fn hear(&self, status: StatusCode, fields: &mut HeaderMap) {
        let asked = retry_after(fields, SystemTime::now()).map(|asked| asked.min(LONGEST_ASKED));
        fields.remove(header::RETRY_AFTER);
        fields.extend(asked.map(|asked| (header::RETRY_AFTER, asked.as_secs().into())));
        if status.is_client_error() || status.is_server_error() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        }
    }
}

/// The only thing that is asked for by GET is the directory: the client library takes what it says of nonces for a URI, and ends the
/// process when it is none.
///
/// # Errors
/// When it is none.
pub(super) fn check_directory(method: &Method, body: &[u8]) -> Result<(), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Directory {
        new_nonce: String,
    }
    match serde_json::from_slice(body) {
        Ok(Directory { new_nonce }) if method == Method::GET => {
            let uri = new_nonce.parse::<Uri>();
            uri.map(drop).map_err(|error| Error::Other(format!("the directory's newNonce is no URI: {error}").into()))
        }
        // what is no directory at all, the library tells
        _ => Ok(()),
    }
}

/// RFC 9110 section 10.2.3.
fn retry_after(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = fields.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

/// A client of one authority.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    asked: Asked,
}

impl Http {
    /// Verifies the authority by `roots`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(roots: RootCertStore, asked: Asked) -> Result<Http, rustls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        Ok(Http { client: Client::builder(TokioExecutor::new()).build(connector), asked })
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let method = request.method().clone();
        let answer = self.client.request(request);
        let asked = self.asked.clone();
        Box::pin(async move {
            let exchange = async {
                let (mut parts, body) = answer.await.map_err(|error| Error::Other(error.into()))?.into_parts();
                asked.hear(parts.status, &mut parts.headers);
                let body = Limited::new(body, LARGEST).collect().await.map_err(Error::Other)?.to_bytes();
                check_directory(&method, &body)?;
                Ok(BytesResponse::from(Response::from_parts(parts, Full::new(body))))
            };
            let late = || Error::Other(io::Error::new(io::ErrorKind::TimedOut, "no answer in time").into());
            tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

/// What is told of what an authority says: one line, and no more than is read.
pub(super) fn one_line(text: &str) -> String {
    let end = text.char_indices().nth(LONGEST_TOLD).map_or(text.len(), |(at, _)| at);
    let (told, rest) = text.split_at(end);
    let mut line = told.replace(char::is_control, " ");
    if !rest.is_empty() {
        line.push('…');
    }
    line
}

/// An error with all that is behind it, each said once.
pub(crate) fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = match error {
        Error::Other(error) => error.source(),
        error => error.source(),
    };
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_an_authority_asks_for() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Tue, 14 Nov 2023 22:14:20 GMT", Some(60)),
            ("Tue, 14 Nov 2023 22:13:19 GMT", None),
            ("soon", None),
            ("-1", None),
            ("18446744073709551615", Some(u64::MAX)),
        ] {
            let fields = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&fields, now), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    /// What would end the process in the client library does not get there.
    #[test]
    fn what_cannot_be_waited_or_asked_for() {
        let value = HeaderValue::from_static("18446744073709551615");
        let mut fields = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
        let asked = Asked::default();
        asked.hear(StatusCode::OK, &mut fields);
        assert_eq!(
            (asked.take(), fields.get(header::RETRY_AFTER).map(HeaderValue::as_bytes)),
            (None, Some(&b"604800"[..]))
        );
        asked.hear(StatusCode::TOO_MANY_REQUESTS, &mut fields);
        assert_eq!(asked.take(), Some(LONGEST_ASKED));
        for (method, body, expected) in [
            (Method::GET, r#"{"newNonce": "https://a.example/nonce"}"#, true),
            (Method::GET, r#"{"newNonce": "https://a b/"}"#, false),
            (Method::GET, r#"{"newNonce": ""}"#, false),
            (Method::GET, "none", true),
            (Method::POST, r#"{"newNonce": ""}"#, true),
        ] {
            assert_eq!(check_directory(&method, body.as_bytes()).is_ok(), expected, "{method} {body}");
        }
    }
}
