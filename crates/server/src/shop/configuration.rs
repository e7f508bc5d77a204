//! The demo's configuration: three instances, two releases, and one rule of each kind that is worth seeing. `headworks.yaml` says only
//! where the console is; `shop.yaml` is what the API is given, so that everything can be changed there, and in the console.
//!
//! They are text, not model types: users are meant to open the files, read and change them while the demo runs.

use std::fmt::Write;
use std::net::SocketAddr;

/// Where everything of a demo listens.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The load balancer's listener.
    pub(crate) listener: SocketAddr,
    /// The admin address.
    pub(crate) admin: SocketAddr,
    /// The two instances of version v1.
    pub(crate) v1: [SocketAddr; 2],
    /// The instance of version v2.
    pub(crate) v2: SocketAddr,
}

/// The text of `headworks.yaml` for a demo.
pub(crate) fn settings(layout: &Layout) -> String {
    let Layout { admin, .. } = layout;
    format!(
        r#"# The demo of Headworks. What serves the shop has come by the API: see and change it in the console at http://{admin}/,
# or change shop.yaml and say: headworks apply -c headworks.yaml -f shop.yaml
admin:
  address: "{admin}"
  auth: none
  data: state/
"#
    )
}

/// The text of `shop.yaml` for a demo.
pub(crate) fn configuration(layout: &Layout) -> String {
    let Layout { listener, v1: [a, b], v2: c, .. } = layout;
    let mut text = format!(
        r##"# The demo of Headworks: a small shop in two versions behind one load balancer.
# Change this file and apply it: headworks apply -c headworks.yaml -f shop.yaml
# What is wrong with it is said with line and column, and nothing is half-applied.

load_balancers:
  shop:
    type: application
    access_log: {{ path: logs/shop.log, format: json }}
    listeners:
      http:
        address: "{listener}"
        protocol: http
        rules:                     # in this order; the first match wins
          - name: maintenance
            if: {{ host: [old.shop.localhost] }}
            then:
              fixed_response:
                status: 503
                content_type: text/html
                body: |
{maintenance}
          - name: journal
            if: {{ host: [journal.shop.localhost] }}
            then:
              fixed_response:
                status: 200
                content_type: text/html
                body: |
{journal}
          - name: blog-redirect
            if: {{ path: ["/blog/*"] }}
            then: {{ redirect: {{ host: journal.shop.localhost, path: "/from/#{{path}}", query: "#{{query}}", status: 302 }} }}
          - name: preview-by-header
            if: {{ header: {{ X-Version: [v2] }} }}
            then: {{ forward: shop-v2 }}
          - name: preview-by-query
            if: {{ query: [{{ version: v2 }}] }}
            then: {{ forward: shop-v2 }}
          - name: api-writes               # programs get the proven version
            if: {{ path: ["/api/*"], method: [POST, PUT, PATCH, DELETE] }}
            then: {{ forward: shop-v1 }}
          - name: checkout-canary          # one visitor in ten tries the new checkout, and stays with it
            if: {{ path: ["/checkout*"] }}
            then: {{ forward: {{ groups: {{ shop-v1: 90, shop-v2: 10 }}, stickiness: 10m }} }}
        default: {{ forward: shop }}

target_groups:
"##,
        maintenance = indented(include_str!("maintenance.html"), 18),
        journal = indented(include_str!("journal.html"), 18),
    );
    text.push_str(&target_group("shop-v1", &[a, b], ""));
    text.push_str(&target_group("shop-v2", &[c], ""));
    text.push_str(&target_group("shop", &[a, b, c], "    stickiness: { type: lb_cookie, duration: 1h }\n"));
    text
}

fn target_group(name: &str, targets: &[&SocketAddr], more: &str) -> String {
    // Quoted: an IPv6 address begins with a bracket, which YAML takes for a list.
    let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
    format!(
        r"  {name}:
    protocol: http
    targets: [{targets}]
{more}    deregistration_delay: 5s
    health_check: {{ path: /healthz, interval: 2s, timeout: 1s, healthy_threshold: 2, unhealthy_threshold: 2 }}
    retry: {{ attempts: 2, when: [connect_failure, reset_before_response] }}
",
        targets = targets.join(", "),
    )
}

fn indented(text: &str, spaces: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        // Writing to a string cannot fail.
        _ = writeln!(out, "{:spaces$}{line}", "");
    }
    out.truncate(out.trim_end().len());
    out
}
