//! One order: from the names to a key and a chain (RFC 8555 section 7.4).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headworks_edge::{CannotProve, Challenges, Offered, Proof};
use headworks_model::acme::{ChallengeChoice, NameSet};
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::http::whole;

/// How often the authority is asked whether it has made up its mind.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(90));

/// Why there is no certificate.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The authority, or the way to it.
    Authority(Error),
    /// What it found when it asked for the proof of a name.
    Refused(String),
    /// It asks for no proof that can be given here.
    NoChallenge(String),
    /// It asks for the proof of something that was not ordered.
    Foreign(String),
    Proof(CannotProve),
    Request(rcgen::Error),
    /// What it issued cannot be shown.
    Unusable(String),
    /// It was not over in time.
    Late,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Authority(error) => f.write_str(&whole(error)),
            Failure::Refused(what) => write!(f, "the authority does not believe it: {what}"),
            Failure::NoChallenge(name) => write!(f, "the authority offers no challenge for {name} that is served here"),
            Failure::Foreign(name) => write!(f, "the authority asks about {name}, which was not ordered"),
            Failure::Proof(error) => {
                let why = std::error::Error::source(error).map(|why| format!(": {why}")).unwrap_or_default();
                write!(f, "{error}{why}")
            }
            Failure::Request(error) => write!(f, "no signing request can be made: {error}"),
            Failure::Unusable(what) => f.write_str(what),
            Failure::Late => f.write_str("the order was not over in time"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Authority(error)
    }
}

impl From<rcgen::Error> for Failure {
    fn from(error: rcgen::Error) -> Failure {
        Failure::Request(error)
    }
}

impl Failure {
    /// The authority does not know the account.
    pub(crate) fn is_of_account(&self) -> bool {
        self.is("urn:ietf:params:acme:error:accountDoesNotExist")
    }

    /// The authority did not take its own nonces, several times in a row. An order that is made again at once goes on
    /// where this one stopped (RFC 8555 section 6.5).
    pub(crate) fn is_of_nonce(&self) -> bool {
        self.is("urn:ietf:params:acme:error:badNonce")
    }

    fn is(&self, kind: &str) -> bool {
        matches!(self, Failure::Authority(Error::Api(problem)) if problem.r#type.as_deref() == Some(kind))
    }
}

/// How names are proven in one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Means {
    pub(crate) choice: ChallengeChoice,
    /// There is a listener that answers `http-01`. One for `tls-alpn-01` there is always: the one that asks for the
    /// certificate.
    pub(crate) has_http: bool,
    /// Attempts that came to nothing before.
    pub(crate) failures: u32,
}

impl Means {
    /// The challenge to take, of those that the authority offers. With `auto` a failed attempt is followed by one of the
    /// other kind: it may be the way from the authority to one of the listeners that is closed.
    fn choose(self, offered: impl Fn(&ChallengeType) -> bool) -> Option<ChallengeType> {
        let (http, tls) = (ChallengeType::Http01, ChallengeType::TlsAlpn01);
        let order = match self.choice {
            ChallengeChoice::Http01 => [Some(http), None],
            ChallengeChoice::TlsAlpn01 => [Some(tls), None],
            ChallengeChoice::Auto if !self.has_http => [Some(tls), None],
            ChallengeChoice::Auto if self.failures % 2 == 1 => [Some(http), Some(tls)],
            ChallengeChoice::Auto => [Some(tls), Some(http)],
        };
        order.into_iter().flatten().find(offered)
    }
}

/// Orders a certificate for `names`; key and chain in one text of PEM. Proofs are offered while the order lasts.
///
/// # Errors
/// When there is none.
pub(crate) async fn issue(
    account: &Account,
    names: &NameSet,
    means: Means,
    challenges: &Arc<Challenges>,
) -> Result<String, Failure> {
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let mut offered = Vec::with_capacity(identifiers.len());
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        offered.extend(prove(authorization?, names, means, challenges).await?);
    }
    match order.poll_ready(&POLLING).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(refusal(&mut order).await),
        Err(Error::Api(problem)) => {
            // an order has an error of its own when one of its names has: that one says more, where it is told already
            let refusal = refusal(&mut order).await;
            return Err(match &refusal {
                Failure::Refused(what) if !what.is_empty() => refusal,
                _ if is_of_names(&problem) => Failure::Refused(format!("{}: {problem}", names.label())),
                _ => Error::Api(problem).into(),
            });
        }
        Err(error) => return Err(error.into()),
    }
    drop(offered);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&POLLING).await?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}

/// Offers the proof of one name and says so to the authority; nothing when it believes it already.
async fn prove(
    mut authorization: AuthorizationHandle<'_>,
    names: &NameSet,
    means: Means,
    challenges: &Arc<Challenges>,
) -> Result<Option<Offered>, Failure> {
    if authorization.status == AuthorizationStatus::Valid {
        return Ok(None);
    }
    let identifier = authorization.identifier();
    let name = match identifier.identifier {
        Identifier::Dns(name) if !identifier.wildcard && names.contains(&name.to_ascii_lowercase()) => {
            name.to_ascii_lowercase()
        }
        _ => return Err(Failure::Foreign(identifier.to_string())),
    };
    if authorization.status != AuthorizationStatus::Pending {
        return Err(Failure::Refused(format!("{name}: the authorization is {:?}", authorization.status)));
    }
    let kind = means.choose(|kind| authorization.challenges.iter().any(|challenge| challenge.r#type == *kind));
    let challenge = kind.and_then(|kind| authorization.challenge(kind));
    let Some(mut challenge) = challenge else { return Err(Failure::NoChallenge(name)) };
    let answer = challenge.key_authorization();
    let proof = match challenge.r#type {
        ChallengeType::TlsAlpn01 => {
            let mut digest = [0; 32];
            digest.iter_mut().zip(answer.digest().as_ref()).for_each(|(to, from)| *to = *from);
            Proof::TlsAlpn01 { name, digest }
        }
        _ => Proof::Http01 { token: challenge.token.clone(), answer: answer.as_str().to_owned() },
    };
    let offered = challenges.offer(proof).map_err(Failure::Proof)?;
    challenge.set_ready().await?;
    Ok(Some(offered))
}

/// Whether an error is about the proof of a name (RFC 8555 section 6.7).
fn is_of_names(problem: &Problem) -> bool {
    const KINDS: [&str; 6] = ["caa", "connection", "dns", "incorrectResponse", "tls", "unauthorized"];
    let kind = problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next());
    kind.is_some_and(|kind| KINDS.contains(&kind))
}

/// What the authority found wrong with the names of an order.
async fn refusal(order: &mut Order) -> Failure {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Err(error) = authorization.refresh().await {
            return error.into();
        }
        let name = authorization.identifier().to_string();
        let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        found.extend(errors.map(|problem| match &problem.detail {
            Some(detail) => format!("{name}: {detail}"),
            None => format!("{name}: {problem}"),
        }));
    }
    Failure::Refused(found.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_challenge_is_taken() {
        use ChallengeChoice::{Auto, Http01, TlsAlpn01};
        let (http, tls) = (ChallengeType::Http01, ChallengeType::TlsAlpn01);
        let both = [ChallengeType::Dns01, http.clone(), tls.clone()];
        let only = |kind: &ChallengeType| [ChallengeType::Dns01, kind.clone(), kind.clone()];
        let rows = [
            (Http01, true, 0, &both, Some(&http)),
            (Http01, true, 1, &both, Some(&http)),
            (Http01, true, 0, &only(&tls), None),
            (TlsAlpn01, true, 0, &both, Some(&tls)),
            (TlsAlpn01, true, 0, &only(&http), None),
            (Auto, true, 0, &both, Some(&tls)),
            (Auto, true, 1, &both, Some(&http)),
            (Auto, true, 2, &both, Some(&tls)),
            (Auto, false, 1, &both, Some(&tls)),
            (Auto, true, 0, &only(&http), Some(&http)),
            (Auto, true, 1, &only(&tls), Some(&tls)),
            (Auto, false, 0, &only(&http), None),
            (Auto, true, 0, &only(&ChallengeType::Dns01), None),
        ];
        for (choice, has_http, failures, offered, expected) in rows {
            let chosen = Means { choice, has_http, failures }.choose(|kind| offered.contains(kind));
            assert_eq!(chosen.as_ref(), expected, "{choice:?} {has_http} {failures} {offered:?}");
        }
    }
}
