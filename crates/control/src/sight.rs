//! What somebody sees where many things are shown: in lists, overviews, streams, differences. Whoever may ask for the whole sees
//! all in it but what it is denied explicitly to get by itself; what shows one body is that body, whole, or nothing.

use headworks_iam::Denials;
use headworks_model::{Config, Kind};
use serde_json::{Map, Value};

use crate::asker::Asker;
use crate::names::{action, hrn, hrn_of, noun};
use crate::plane::Plane;
use crate::rewrite::Place;

/// Subjects of `/v1/live`, by the word that they begin with.
const LISTENER: &str = "listener";
const RULE: &str = "rule";
const GROUP: &str = "group";
const TARGET: &str = "target";

/// What an asker sees; that of nearly all is everything, which costs nothing.
#[derive(Debug)]
pub(crate) struct Sight(Option<Box<Unseen>>);

/// On what each action that shows one thing is denied.
#[derive(Debug)]
struct Unseen {
    kinds: [(Kind, Denials); 5],
    listeners: Denials,
    rules: Denials,
    health: Denials,
}

impl Sight {
    pub(crate) fn of(asker: &Asker, plane: &Plane) -> Self {
        let denied = |what: &str| asker.denied(plane, &action(what));
        let unseen = Unseen {
            kinds: Kind::ALL.map(|kind| (kind, denied(&format!("Get{}", noun(kind))))),
            listeners: denied("GetListener"),
            rules: denied("GetRule"),
            health: denied("GetTargetHealth"),
        };
        let parts = [&unseen.listeners, &unseen.rules, &unseen.health];
        let is_clear = unseen.kinds.iter().map(|(_, denials)| denials).chain(parts).all(Denials::is_empty);
        Self((!is_clear).then(|| Box::new(unseen)))
    }

    /// Whether nothing is left out.
    pub(crate) fn is_clear(&self) -> bool {
        self.0.is_none()
    }

    fn unless(&self, is_unseen: impl FnOnce(&Unseen) -> bool) -> bool {
        !self.0.as_deref().is_some_and(is_unseen)
    }

    /// Whether a resource is seen, as far as its name tells.
    pub(crate) fn has(&self, kind: Kind, name: &str) -> bool {
        self.unless(|unseen| unseen.has(kind, name))
    }

    /// Whether a resource is seen, of which this is the body: all that it shows is.
    pub(crate) fn has_whole(&self, kind: Kind, name: &str, body: &Value) -> bool {
        self.unless(|unseen| unseen.has(kind, name) || kind == Kind::LoadBalancer && unseen.has_part_of(name, body))
    }

    /// Whether a resource is seen as it was before and after a change, which may have made it, or have it gone.
    pub(crate) fn has_both(&self, kind: Kind, name: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
        self.has(kind, name) && [before, after].into_iter().flatten().all(|body| self.has_whole(kind, name, body))
    }

    /// Whether a resource and all that is in it is seen, as it is in a configuration, if it is.
    pub(crate) fn has_all_of(&self, kind: Kind, name: &str, config: &Config) -> bool {
        self.unless(|unseen| {
            let body = || config.resource(kind, name).unwrap_or_default();
            unseen.has(kind, name) || kind == Kind::LoadBalancer && unseen.has_part_of(name, &body())
        })
    }

    /// Whether a listener is seen, of which this is the body.
    pub(crate) fn has_listener(&self, balancer: &str, name: &str, body: &Value) -> bool {
        self.unless(|unseen| unseen.has_listener(balancer, name) || unseen.has_rule_of(balancer, name, body))
    }

    /// Whether what is at a place of a resource is seen, and all that is in it.
    pub(crate) fn has_place(&self, kind: Kind, name: &str, place: &Place, whole: &Value) -> bool {
        match place {
            Place::Whole => self.has_whole(kind, name, whole),
            Place::Targets => self.has(kind, name),
            Place::Listener(listener) | Place::Rules(listener) => {
                let body = Place::Listener(listener.clone()).find(whole).unwrap_or(&Value::Null);
                self.has_listener(name, listener, body)
            }
            Place::Rule(listener, _) => {
                let found = place.index(whole).zip(place.find(whole));
                found.is_none_or(|(index, rule)| self.unless(|unseen| unseen.has_rule_at(name, listener, index, rule)))
            }
        }
    }

    /// Whether how a target group stands is seen.
    pub(crate) fn has_health(&self, group: &str) -> bool {
        self.unless(|unseen| {
            unseen.has(Kind::TargetGroup, group) || unseen.health.has(&hrn_of(Kind::TargetGroup, group))
        })
    }

    /// Whether a listener, a rule or a target group is seen, by its resource name.
    pub(crate) fn has_part(&self, resource: &str) -> bool {
        self.unless(|unseen| {
            let groups = unseen.kinds.iter().map(|(_, denials)| denials);
            let own = groups.chain([&unseen.listeners, &unseen.rules]).any(|denials| denials.has(resource));
            // what is in something that is not seen is not, either
            let within = |part: &str| resource.find(part).and_then(|end| resource.get(..end));
            own || within("/rule/").is_some_and(|listener| unseen.listeners.has(listener))
                || within("/listener/").is_some_and(|balancer| unseen.kinds.iter().any(|(_, of)| of.has(balancer)))
        })
    }

    /// Takes what is not seen out of what has the shape of the file: the status, the configuration.
    pub(crate) fn sift(&self, shown: &mut Value) {
        let (Some(unseen), Some(shown)) = (self.0.as_deref(), shown.as_object_mut()) else { return };
        for kind in Kind::ALL {
            let Some(resources) = shown.get_mut(kind.collection()).and_then(Value::as_object_mut) else { continue };
            resources.retain(|name, _| !unseen.has(kind, name));
            if kind == Kind::LoadBalancer {
                resources.iter_mut().for_each(|(name, balancer)| unseen.sift_parts(name, balancer));
            }
        }
    }

    /// Whether a subject of `/v1/live` is seen: `listener/edge/http`, `rule/edge/http/2`, `group/web`, `target/web/10.0.0.1:80`.
    pub(crate) fn has_subject(&self, subject: &str, config: &Config) -> bool {
        self.unless(|unseen| {
            let parts: Vec<&str> = subject.splitn(4, '/').collect();
            match *parts.as_slice() {
                [LISTENER, balancer, listener] => unseen.has_listener(balancer, listener),
                [RULE, balancer, listener, rule] => {
                    let name = name_of_rule(config, balancer, listener, rule);
                    let labels = [Some(rule), name].into_iter().flatten();
                    unseen.has_listener(balancer, listener)
                        || labels.into_iter().any(|rule| unseen.has_rule(balancer, listener, rule))
                }
                [GROUP | TARGET, group, ..] => !self.has_health(group),
                // what nobody has thought of is not seen by whom something is hidden from
                _ => true,
            }
        })
    }

    /// Takes subjects that are not seen out of what `/v1/live` tells.
    pub(crate) fn sift_subjects(&self, told: &mut Value, config: &Config) {
        if let (false, Some(subjects)) = (self.is_clear(), entries(told, "subjects")) {
            subjects.retain(|subject, _| self.has_subject(subject, config));
        }
    }

    /// Takes out of what came of a file that was applied what is told of what is not seen. Faults cite the file, so that they
    /// are told to those only who see all.
    pub(crate) fn sift_applied(&self, applied: &mut Value, config: &Config) {
        if self.is_clear() {
            return;
        }
        if let Some(changes) = applied.get_mut("changes").and_then(Value::as_array_mut) {
            changes.retain(|line| line.as_str().is_some_and(|line| self.has_line(line, config)));
        }
        for key in ["errors", "warnings"] {
            if let Some(lines) = applied.get_mut(key).and_then(Value::as_array_mut)
                && !lines.is_empty()
            {
                *lines = vec![format!("{} lines, which are told to whom nothing is denied to see", lines.len()).into()];
            }
        }
    }

    /// Whether what is seen may have a line of a difference, such as `~ target_groups.web.algorithm: a -> b`.
    fn has_line(&self, line: &str, config: &Config) -> bool {
        let path = line.trim_start_matches(['+', '-', '~', ' ']);
        let path = path.split([':', '[', ' ']).next().unwrap_or(path);
        let Some((collection, rest)) = path.split_once('.') else {
            // of all of a kind at once
            return Kind::of_collection(path).is_none();
        };
        let Some(kind) = Kind::of_collection(collection) else { return true };
        // a name may have dots in it
        let ends = rest.match_indices('.').map(|(end, _)| end).chain([rest.len()]);
        ends.filter_map(|end| rest.get(..end)).all(|name| {
            let parts_are_seen = kind != Kind::LoadBalancer
                || self.unless(|unseen| {
                    let parts = format!("{}/", hrn_of(kind, name));
                    unseen.listeners.may_have(&parts) || unseen.rules.may_have(&parts)
                });
            parts_are_seen && self.has_all_of(kind, name, config)
        })
    }

    /// Takes rules that are not seen out of why a request would go somewhere. Whether what decides is seen.
    pub(crate) fn sift_decision(&self, decision: &mut Value, config: &Config) -> bool {
        if self.is_clear() {
            return true;
        }
        let text = |of: &Value, path: &str| of.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (balancer, listener) = (text(decision, "/listener/load_balancer"), text(decision, "/listener/name"));
        let is_seen = |rule: &str| self.has_subject(&format!("{RULE}/{balancer}/{listener}/{rule}"), config);
        let is_rule_seen = is_seen(&text(decision, "/rule"));
        if let Some(rules) = decision.get_mut("rules").and_then(Value::as_array_mut) {
            rules.retain(|rule| is_seen(&text(rule, "/rule")));
        }
        let each = |key: &str| decision.get(key).and_then(Value::as_array).into_iter().flatten();
        let of_each = ["groups", "targets", "handling"].into_iter().flat_map(each);
        let mut groups = of_each.chain(decision.get("mirror")).filter_map(|one| one.get("group"));
        is_rule_seen && groups.all(|group| group.as_str().is_some_and(|group| self.has_health(group)))
    }

    /// Takes lines about what is not seen out of an exposition of metrics.
    pub(crate) fn sift_metrics(&self, text: String) -> String {
        if self.is_clear() {
            return text;
        }
        let is_seen = |line: &&str| {
            let label = |name: &str| line.split_once(&format!("{name}=\""))?.1.split('"').next();
            let of_group = label("target_group").is_none_or(|group| self.has_health(group));
            let of_balancer = label("load_balancer").is_none_or(|balancer| {
                let listener = label("listener").unwrap_or_default();
                self.unless(|unseen| unseen.has_listener(balancer, listener))
            });
            let of_certificate =
                label("certificate").is_none_or(|certificate| self.has(Kind::Certificate, certificate));
            line.starts_with('#') || (of_group && of_balancer && of_certificate)
        };
        text.split_inclusive('\n').filter(is_seen).collect()
    }
}

impl Unseen {
    fn has(&self, kind: Kind, name: &str) -> bool {
        self.kinds.iter().any(|(of, denials)| *of == kind && denials.has(&hrn_of(kind, name)))
    }

    fn has_listener(&self, balancer: &str, listener: &str) -> bool {
        self.has(Kind::LoadBalancer, balancer) || self.listeners.has(&hrn_of_listener(balancer, listener))
    }

    fn has_rule(&self, balancer: &str, listener: &str, rule: &str) -> bool {
        self.rules.has(&hrn_of_rule(balancer, listener, rule))
    }

    /// Whether any listener or rule of a load balancer's body is not seen.
    fn has_part_of(&self, balancer: &str, body: &Value) -> bool {
        let mut listeners = body.get("listeners").and_then(Value::as_object).into_iter().flatten();
        !(self.listeners.is_empty() && self.rules.is_empty())
            && listeners
                .any(|(name, listener)| self.has_listener(balancer, name) || self.has_rule_of(balancer, name, listener))
    }

    fn has_rule_of(&self, balancer: &str, listener: &str, body: &Value) -> bool {
        let mut rules = rules(body).enumerate();
        self.rules.may_have(&hrn_of_rule(balancer, listener, ""))
            && rules.any(|(index, rule)| self.has_rule_at(balancer, listener, index, rule))
    }

    /// Whether a rule is not seen, by its name or by its number.
    fn has_rule_at(&self, balancer: &str, listener: &str, index: usize, rule: &Value) -> bool {
        let name = ["name", "rule"].into_iter().find_map(|key| rule.get(key)).and_then(Value::as_str);
        name.is_some_and(|name| self.has_rule(balancer, listener, name))
            || self.has_rule(balancer, listener, &(index + 1).to_string())
    }

    fn sift_parts(&self, balancer: &str, body: &mut Value) {
        let Some(listeners) = entries(body, "listeners") else { return };
        listeners.retain(|listener, _| !self.has_listener(balancer, listener));
        for (listener, body) in listeners.iter_mut() {
            let Some(rules) = body.get_mut("rules").and_then(Value::as_array_mut) else { continue };
            let mut index = 0;
            rules.retain(|rule| {
                index += 1;
                !self.has_rule_at(balancer, listener, index - 1, rule)
            });
        }
    }
}

fn entries<'a>(of: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    of.get_mut(key)?.as_object_mut()
}

/// The rules of a listener's body.
pub(crate) fn rules(listener: &Value) -> impl Iterator<Item = &Value> {
    listener.get("rules").and_then(Value::as_array).into_iter().flatten()
}

/// The name of a rule's body.
pub(crate) fn name_of(rule: &Value) -> Option<&str> {
    rule.get("name").and_then(Value::as_str)
}

fn name_of_rule<'a>(config: &'a Config, balancer: &str, listener: &str, number: &str) -> Option<&'a str> {
    let index = number.parse::<usize>().ok()?.checked_sub(1)?;
    let rule = config.load_balancers.get(balancer)?.listeners.get(listener)?.rules.get(index)?;
    Some(rule.name.as_ref()?.as_str())
}

pub(crate) fn hrn_of_listener(balancer: &str, listener: &str) -> String {
    hrn(&format!("load-balancer/{balancer}/listener/{listener}"))
}

pub(crate) fn hrn_of_rule(balancer: &str, listener: &str, rule: &str) -> String {
    hrn(&format!("load-balancer/{balancer}/listener/{listener}/rule/{rule}"))
}
