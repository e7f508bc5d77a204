//! The demo's configuration and its list of commands.

use saphyr_parser::{Event, Parser};

use crate::shop::{Layout, configuration, settings, what_to_try};

fn layout() -> Layout {
    Layout {
        listener: "127.0.0.1:8080".parse().unwrap(),
        admin: "[::1]:9080".parse().unwrap(),
        v1: ["127.0.0.1:9001".parse().unwrap(), "127.0.0.1:9002".parse().unwrap()],
        v2: "[::1]:9003".parse().unwrap(),
    }
}

/// Every scalar, in the order of the text.
fn scalars(text: &str) -> Vec<String> {
    Parser::new_from_str(text)
        .filter_map(|event| match event.unwrap().0 {
            Event::Scalar(value, ..) => Some(value.into_owned()),
            _ => None,
        })
        .collect()
}

#[test]
fn the_configuration_is_yaml_with_every_rule_in_its_order() {
    let scalars = scalars(&configuration(&layout()));
    let names: Vec<_> = scalars.windows(2).filter(|pair| pair[0] == "name").map(|pair| pair[1].as_str()).collect();
    assert_eq!(
        names,
        [
            "maintenance",
            "journal",
            "blog-redirect",
            "preview-by-header",
            "preview-by-query",
            "api-writes",
            "checkout-canary"
        ]
    );
    let addresses = ["127.0.0.1:8080", "127.0.0.1:9001", "127.0.0.1:9002", "[::1]:9003"];
    for (address, times) in addresses.into_iter().zip([1, 2, 2, 2]) {
        assert_eq!(scalars.iter().filter(|scalar| *scalar == address).count(), times, "{address}");
    }
    let pages: Vec<_> = scalars.windows(2).filter(|pair| pair[0] == "body").map(|pair| &pair[1]).collect();
    assert_eq!(pages, [include_str!("../maintenance.html"), include_str!("../journal.html")]);
}

#[test]
fn the_settings_say_where_the_console_is() {
    let scalars = scalars(&settings(&layout()));
    assert_eq!(scalars, ["admin", "address", "[::1]:9080", "auth", "none", "data", "state/"]);
}

#[test]
fn what_to_try_speaks_of_the_ports_in_use() {
    let text = what_to_try(&layout());
    assert!(text.contains("http://127.0.0.1:8080/") && text.contains("http://[::1]:9080/"));
    assert!(text.contains("http://old.shop.localhost:8080/"));
}
