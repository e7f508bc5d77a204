//! Actions of a listener rule (R12 to R16): what is done with a request.

use crate::declared::choice;
pub use crate::fixed_response::FixedResponse;
pub use crate::forward::{Forward, GroupStickiness, WeightedGroup};
pub use crate::redirect::{Redirect, Scheme};
pub use crate::template::{Template, TemplateError, TemplatePart};

choice! {
    /// Exactly one routing action.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Action {
        /// Send it to a target.
        Forward(Forward) = "forward",
        /// Answer with another place.
        Redirect(Redirect) = "redirect",
        /// Answer with a fixed response.
        FixedResponse(FixedResponse) = "fixed_response",
    }
}
