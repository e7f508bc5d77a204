//! What a listener changes about a target's answer: its attributes (H11), its content coding.

use headworks_message::encoding;
use headworks_message::encoding::Asked;
use headworks_message::{Framing, ResponseHead};

use crate::compile::plan::ListenerPlan;
use crate::l7::codec::encode::Encoder;
use crate::runtime::pool::Pool;

/// How an answer is sent on. Lines that are added stand in the scratch.
pub(crate) struct Shape<'t> {
    /// For [`headworks_message::send::Answer::removed`].
    pub(crate) removed: [&'t [&'t str]; 2],
    /// What its content goes through.
    pub(crate) encoder: Option<Encoder>,
}

/// Decides it, and appends to `lines` what is added.
pub(crate) fn shape<'t>(
    plan: &'t ListenerPlan,
    bytes: &[u8],
    head: &ResponseHead,
    framing: Framing,
    asked: Asked,
    pool: &Pool,
    lines: &mut Vec<u8>,
) -> Shape<'t> {
    let mut shape = Shape { removed: [&[], &[]], encoder: None };
    if let Some(attributes) = &plan.attributes {
        lines.extend_from_slice(&attributes.lines);
        shape.removed[0] = &attributes.removed;
    }
    if let Some(compression) = &plan.compression {
        let begin = |coding| pool.encoders.begin(coding, compression.level(coding), head.content_length);
        let shaped = encoding::shape(bytes, head, framing, &compression.offer, asked, lines, begin);
        shape.removed[1] = shaped.removed;
        shape.encoder = shaped.encoder;
    }
    shape
}
