//! Another key in the place of the one that secrets are sealed with. The new key lies beside the old one before anything is sealed
//! with it, the database says which of the two holds, and both change in the one transaction: whenever this is cut off, what
//! is kept opens with one of them, which is then the one that stays.

use std::path::Path;

use headworks_iam::seal::Sealer;
use headworks_store::{Body, StoreError};
use serde_json::Value;

use crate::keep::{self, Kept, SEALED, key_purpose};
use crate::keyfile::{self, Place, random};
use crate::problem::Problem;
use crate::sign_in::mfa_purpose;

/// Seals all that is kept with another key: a new one, or for a place whose key comes from elsewhere that of the file `to`, which
/// is then to be put there. Nobody else may have the place open.
///
/// # Errors
/// When it cannot be done; all is as it was then.
pub fn rotate(place: &Place, to: Option<&Path>) -> Result<(), String> {
    let kept = keep::open(place)?;
    let next = match (place.is_given(), to) {
        (true, Some(to)) => keyfile::read(to),
        (false, None) => place.make_next(),
        (true, None) => {
            return Err(format!(
                "{} is not this program's to write: expected --to FILE with the new key",
                place.key().display()
            ));
        }
        (false, Some(_)) => return Err("a new key is made in the data folder: --to is for admin.key_file".to_owned()),
    };
    let next = next.map_err(|error| error.to_string())?;
    if next.name() == kept.sealer.name() {
        return Err("it is the key that holds already".to_owned());
    }
    let Kept { store, sealer, .. } = kept;
    let again =
        |body: Body<'_>| body_again(&sealer, &next, body).map_err(|what| StoreError::Io(std::io::Error::other(what)));
    let entry = keep::entry_by("headworks rotate-key", "RotateKey", "hrn:headworks:key");
    store.seal_anew(&next.name(), &entry, &again).map_err(|error| error.to_string())?;
    if place.is_given() { Ok(()) } else { place.follow().map_err(|error| error.to_string()) }
}

fn body_again(old: &Sealer, new: &Sealer, body: Body<'_>) -> Result<Option<String>, String> {
    let Body { is_identity, kind, name, text } = body;
    let said = |problem: Problem| problem.detail().to_owned();
    if !is_identity {
        if !text.contains(SEALED) {
            return Ok(None);
        }
        let edit = keep::unsealed(old, kind, name, text).map_err(said)?;
        return edit.body.map(|body| keep::sealed(new, edit.kind, name, &body).map_err(said)).transpose();
    }
    let damaged = |what: &dyn std::fmt::Display| format!("{kind} {name} cannot be read from what is kept: {what}");
    let mut identity: Value = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    let mut is_changed = false;
    let mut turn = |purpose: &str, secret: Option<&mut Value>| {
        let Some(secret) = secret.filter(|secret| secret.is_string()) else { return Ok(()) };
        let opened = old.open(purpose, secret.as_str().unwrap_or_default()).map_err(|error| damaged(&error))?;
        let nonce = random().map_err(|error| damaged(&error))?;
        *secret = new.seal(purpose, &opened, nonce).map_err(|error| damaged(&error))?.into();
        is_changed = true;
        Ok::<(), String>(())
    };
    for key in identity.get_mut("keys").and_then(Value::as_array_mut).into_iter().flatten() {
        let purpose = key_purpose(key.get("id").and_then(Value::as_str).unwrap_or_default());
        turn(&purpose, key.get_mut("secret"))?;
    }
    for secret in ["/mfa/active", "/mfa/pending"] {
        turn(&mfa_purpose(name), identity.pointer_mut(secret))?;
    }
    Ok(is_changed.then(|| identity.to_string()))
}
