//! The side of the server, as MySQL keeps it: proofs are held against what is stored of a password, which is not the password.

use aws_lc_rs::digest::{Algorithm, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headworks_balance::Outcome;
use headworks_model::Config;
use headworks_model::target_group::HealthCheck;
use tokio::io::DuplexStream;

use super::*;

const SCRAMBLE: &[u8; 20] = b"abcdefghijklmnopqrst";
const PASSWORD: &str = "hunter2, which is longer than the scramble";

fn health_check() -> HealthCheck {
    let check = format!("{{ protocol: mysql, user: monitor, password: \"{PASSWORD}\" }}");
    let yaml = format!("target_groups: {{ db: {{ protocol: tcp, health_check: {check} }} }}");
    let parsed = Config::parse("t", &yaml, &headworks_model::resolve::Nothing).expect("a configuration");
    parsed.config.target_groups.into_iter().next().expect("a group").1.health_check
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

fn twice(algorithm: &'static Algorithm) -> Digest {
    digest(algorithm, digest(algorithm, PASSWORD.as_bytes()).as_ref())
}

/// mysql_native_password: SHA1(password), found in the proof, is what SHA1(SHA1(password)) is stored of.
fn is_native(proof: &[u8]) -> bool {
    let stored = twice(&SHA1_FOR_LEGACY_USE_ONLY);
    let mask = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[SCRAMBLE, stored.as_ref()].concat());
    digest(&SHA1_FOR_LEGACY_USE_ONLY, &xor(proof, mask.as_ref())).as_ref() == stored.as_ref()
}

/// caching_sha2_password: the same with SHA-256, and the scramble behind.
fn is_cached(proof: &[u8]) -> bool {
    let stored = twice(&SHA256);
    let mask = digest(&SHA256, &[stored.as_ref(), SCRAMBLE].concat());
    digest(&SHA256, &xor(proof, mask.as_ref())).as_ref() == stored.as_ref()
}

struct Server(Packets<DuplexStream>);

impl Server {
    async fn greet(&mut self, method: &str) -> Vec<u8> {
        let start = b"\x0a8.4.0\0\x07\0\0\0abcdefgh\0\x01\x82\x2d\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0";
        self.send(&[start, method.as_bytes(), &[0]].concat()).await;
        let login = self.receive().await;
        let rest = login.get(32..).and_then(|rest| rest.strip_prefix(b"monitor\0")).expect("who it is");
        let (length, rest) = rest.split_first().expect("a length");
        rest[..usize::from(*length)].to_vec()
    }

    async fn send(&mut self, packet: &[u8]) {
        self.0.send(packet).await.expect("a client that reads");
    }

    async fn receive(&mut self) -> Vec<u8> {
        self.0.receive().await.expect("a client that writes")
    }

    /// Lets the client in, who says goodbye.
    async fn let_in(mut self) {
        self.send(&[OK, 0, 0, 2, 0, 0, 0]).await;
        self.0.begin();
        assert_eq!(self.receive().await, COM_QUIT);
        assert_eq!(self.0.receive().await.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
    }
}

/// Runs a check against a server of this play.
async fn check<F: Future<Output = ()>>(play: impl FnOnce(Server) -> F) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let health_check = health_check();
    let (outcome, ()) = tokio::join!(ask(ours, &health_check), play(Server(Packets::new(theirs))));
    assert_eq!(outcome.expect("an answer"), Outcome::Success);
}

#[tokio::test]
async fn by_sha1() {
    check(async |mut server: Server| {
        assert!(is_native(&server.greet("mysql_native_password").await));
        server.let_in().await;
    })
    .await;
}

#[tokio::test]
async fn by_sha256() {
    check(async |mut server: Server| {
        assert!(is_cached(&server.greet("caching_sha2_password").await));
        server.send(&[MORE, 3]).await;
        server.let_in().await;
    })
    .await;
}

#[tokio::test]
async fn by_another_method_than_greeted_with() {
    check(async |mut server: Server| {
        let _ = server.greet("sha256_password").await;
        server.send(&[b"\xfecaching_sha2_password\0", SCRAMBLE.as_slice(), b"\0"].concat()).await;
        assert!(is_cached(&server.receive().await));
        server.send(&[MORE, 3]).await;
        server.let_in().await;
    })
    .await;
}

#[tokio::test]
async fn by_rsa() {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(&private.public_key()).expect("a public key");
    let public =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(public.as_ref()));
    let private = OaepPrivateDecryptingKey::new(private).expect("a key");
    check(async |mut server: Server| {
        assert!(is_cached(&server.greet("caching_sha2_password").await));
        server.send(&[MORE, 4]).await;
        assert_eq!(server.receive().await, [2]);
        server.send(&[&[MORE], public.as_bytes()].concat()).await;
        let mut room = vec![0; private.min_output_size()];
        let masked = private.decrypt(&OAEP_SHA1_MGF1SHA1, &server.receive().await, &mut room, None).expect("its text");
        let password = xor(masked, &SCRAMBLE.repeat(3));
        assert_eq!(String::from_utf8_lossy(&password), format!("{PASSWORD}\0"));
        server.let_in().await;
    })
    .await;
}
