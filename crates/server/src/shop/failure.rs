//! Why a request was not done: whose fault it is and what the client may see. It becomes a status here, once.
//!
//! The body is made at the door, in `response.rs`, which knows whether a person or a program asked.

use std::io;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::shop::error::StoreError;

/// A request that was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such thing, or it is not this visitor's.
    NotFound(&'static str),
    /// The request makes no sense.
    BadRequest(&'static str),
    /// A form without the token that its page carried.
    Forged,
    /// The API was asked for what cannot be sold.
    Unprocessable(&'static str),
    /// The database did not answer. Worth another try.
    Store(StoreError),
    /// The system gave no randomness.
    System(io::Error),
}

/// What the client may see, on its way to the door.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detail(pub(crate) &'static str);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, detail) = match &self {
            Self::NotFound(detail) => (StatusCode::NOT_FOUND, *detail),
            Self::BadRequest(detail) => (StatusCode::BAD_REQUEST, *detail),
            Self::Forged => {
                (StatusCode::FORBIDDEN, "This form has expired. Please go back, reload the page and try again.")
            }
            Self::Unprocessable(detail) => (StatusCode::UNPROCESSABLE_ENTITY, *detail),
            Self::Store(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "shop database failed");
                (StatusCode::SERVICE_UNAVAILABLE, "The order book is not available right now. Please try again.")
            }
            Self::System(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "shop request failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.")
            }
        };
        let mut response = status.into_response();
        response.extensions_mut().insert(Detail(detail));
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
