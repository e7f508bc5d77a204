//! What a listener does with requests that no rule takes: an action, and beside it what rules may say of theirs.

use serde_json::{Value, json};

use crate::action::Action;
use crate::declared::{Codec as _, Cx, Declared, Defs, Fields, LeftOut, Optional, Plain};
use crate::injection::Injection;
use crate::overload::Criticality;
use crate::yaml::Node;

/// The default of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultAction {
    /// What is done with the request.
    pub action: Action,
    /// How much it matters that its requests are served while the program has too much to do.
    pub criticality: Criticality,
    /// Faults that are injected into a share of the requests.
    pub fault: Option<Injection>,
}

const CRITICALITY: &str = "criticality";
const FAULT: &str = "fault";

impl DefaultAction {
    /// The action, which is one key among others.
    fn action<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Action> {
        let entries = node.as_map().unwrap_or_default();
        let actions: Vec<_> = entries.iter().filter(|entry| Action::WORDS.contains(&&*entry.key)).collect();
        match actions.as_slice() {
            [entry] => return Action::read_entry(entry, cx),
            // what is there in its place has been said
            [] if entries.iter().any(|entry| ![CRITICALITY, FAULT].contains(&&*entry.key)) => {}
            [] => cx.fault(node.mark, "has no action", Some(Action::expected())),
            several => {
                let what = format!("has {} actions", several.len());
                cx.fault(node.mark, what, Some(Action::expected().replacen("one", "exactly one", 1)));
            }
        }
        None
    }
}

impl Declared for DefaultAction {
    fn expected() -> String {
        Action::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let keys: Vec<&str> = Action::WORDS.iter().copied().chain([CRITICALITY, FAULT]).collect();
        let fields = Fields::of(node, &keys, None, Self::expected, cx)?;
        let action = Self::action(node, cx);
        let criticality = LeftOut::field(&fields, CRITICALITY, Some(&Criticality::default), cx);
        let fault = Optional::<Plain>::field(&fields, FAULT, Some(&|| None), cx);
        if cx.listener.is_some_and(|protocol| !protocol.is_http()) {
            fields.only_with(CRITICALITY, "it on http and https listeners only", cx);
            fields.only_with(FAULT, "it on http and https listeners only", cx);
        }
        Some(Self { action: action?, criticality: criticality?, fault: fault? })
    }

    fn write(&self) -> Value {
        let mut written = self.action.write();
        if let Some(into) = written.as_object_mut() {
            LeftOut::put(&self.criticality, CRITICALITY, into);
            Optional::<Plain>::put(&self.fault, FAULT, into);
        }
        written
    }

    fn schema(defs: &mut Defs) -> Value {
        Action::schema(defs);
        defs.refer("DefaultAction", |defs| {
            let criticality = describe::<Criticality>(
                "How much it matters that its requests are served while the program has too much to do; default `normal`.",
                defs,
            );
            let fault = describe::<Injection>("Faults that are injected into a share of the requests.", defs);
            let mut schema = defs.0.get("Action").cloned().unwrap_or_default();
            for kind in schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(properties) = kind.get_mut("properties").and_then(Value::as_object_mut) {
                    properties.insert(CRITICALITY.to_owned(), criticality.clone());
                    properties.insert(FAULT.to_owned(), fault.clone());
                }
            }
            schema["description"] = json!("Exactly one routing action, and what rules may say beside theirs.");
            schema
        })
    }
}

fn describe<T: Declared>(text: &str, defs: &mut Defs) -> Value {
    let mut schema = T::schema(defs);
    schema["description"] = json!(text);
    schema
}
