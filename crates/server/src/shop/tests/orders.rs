//! From a cart to an order, by one instance and by two at once.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use super::browser::Browser;
use super::house::House;
use crate::shop::app::App;
use crate::shop::version::Version;

const CUSTOMER: &str = "name=Ada+%3CL%3E&email=ada%40example.com&address=1+Mill+Lane";

/// The form of a checkout, filled in.
async fn filled_in(browser: &mut Browser, app: &Arc<App>) -> String {
    let page = browser.get(app, "/checkout").await;
    let (token, submission, agreed) = (page.field("token"), page.field("submission"), page.field("agreed"));
    format!("token={token}&submission={submission}&agreed={agreed}&{CUSTOMER}")
}

#[tokio::test]
async fn a_checkout_becomes_an_order_with_its_totals_and_empties_the_cart() {
    let house = House::new();
    let (a, b) = (house.instance("a", Version::V1).await, house.instance("b", Version::V1).await);
    let mut browser = Browser::default();
    browser.buy(&a, "enamel-mug", 2).await;
    browser.buy(&a, "seed-tin", 1).await;
    let form = filled_in(&mut browser, &a).await;
    let placed = browser.form(&a, "/checkout", form).await;
    assert_eq!((placed.status, placed.header("location")), (StatusCode::SEE_OTHER, "/orders/1"));
    let order = browser.get(&b, "/orders/1").await;
    for text in ["€33.90", "€4.90", "€38.80", "Ada &lt;L&gt;", "taken by instance a"] {
        assert!(order.body.contains(text), "{text}");
    }
    assert!(browser.get(&b, "/orders").await.body.contains("href=\"/orders/1\""));
    assert!(browser.get(&a, "/cart").await.body.contains("Nothing in it yet"));
}

#[tokio::test]
async fn an_order_is_its_visitors_alone() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let (mut owner, mut stranger) = (Browser::default(), Browser::default());
    owner.buy(&app, "kettle", 1).await;
    stranger.buy(&app, "kettle", 1).await;
    let form = filled_in(&mut owner, &app).await;
    owner.form(&app, "/checkout", form).await;
    for uri in ["/orders/1", "/api/orders/1"] {
        assert_eq!(owner.get(&app, uri).await.status, StatusCode::OK, "{uri}");
        assert_eq!(stranger.get(&app, uri).await.status, StatusCode::NOT_FOUND, "{uri}");
        assert_eq!(Browser::default().get(&app, uri).await.status, StatusCode::NOT_FOUND, "{uri}");
    }
    assert_eq!(stranger.get(&app, "/api/orders").await.value(), json!({ "orders": [] }));
}

#[tokio::test]
async fn a_form_sent_twice_is_one_order() {
    let house = House::new();
    let (a, b) = (house.instance("a", Version::V1).await, house.instance("b", Version::V1).await);
    let mut browser = Browser::default();
    browser.buy(&a, "kettle", 1).await;
    let form = filled_in(&mut browser, &a).await;
    let mut impatient = browser.clone();
    let (first, second) =
        tokio::join!(browser.form(&a, "/checkout", form.clone()), impatient.form(&b, "/checkout", form));
    assert_eq!((first.header("location"), second.header("location")), ("/orders/1", "/orders/1"));
}

#[tokio::test]
async fn a_price_that_another_version_showed_is_asked_about_again() {
    let house = House::new();
    let (v1, v2) = (house.instance("a", Version::V1).await, house.instance("c", Version::V2).await);
    let mut browser = Browser::default();
    browser.buy(&v1, "carafe", 1).await;
    let form = filled_in(&mut browser, &v2).await;
    let asked = browser.form(&v1, "/checkout", form).await;
    assert_eq!(asked.status, StatusCode::CONFLICT);
    assert!(asked.body.contains("The price has changed") && asked.body.contains("Ada &lt;L&gt;"));
    assert_eq!(asked.field("agreed"), "3290");
}

#[tokio::test]
async fn faults_of_the_form_are_marked_and_what_was_typed_is_kept() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    browser.buy(&app, "kettle", 1).await;
    let form = filled_in(&mut browser, &app).await.replace("ada%40example.com", "ada").replace("1+Mill+Lane", "+");
    let answer = browser.form(&app, "/checkout", form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.body.matches("class=\"fault\"").count(), 2);
    assert!(answer.body.contains("Ada &lt;L&gt;"));
}

#[tokio::test]
async fn an_empty_cart_has_no_checkout() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    assert_eq!(Browser::default().get(&app, "/checkout").await.header("location"), "/cart");
}

#[tokio::test]
async fn two_instances_opened_at_once_write_to_one_file() {
    const EACH: usize = 40;
    let house = House::new();
    let (a, b) = tokio::join!(house.instance("a", Version::V1), house.instance("b", Version::V1));
    let mut visitor = Browser::default();
    visitor.get(&a, "/").await;
    let orders: Vec<_> = (0..EACH * 2)
        .map(|number| {
            let (app, mut visitor) = (Arc::clone(if number % 2 == 0 { &a } else { &b }), visitor.clone());
            tokio::spawn(async move {
                let order = json!({
                    "name": "Ada", "email": "ada@example.com", "address": "1 Mill Lane",
                    "items": [{ "product": "kettle", "quantity": 1 + number % 3 }],
                });
                let answer = visitor.json(&app, "POST", "/api/orders", order).await;
                assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
                answer.value()
            })
        })
        .collect();
    let mut ids = Vec::new();
    for (number, order) in orders.into_iter().enumerate() {
        let order = order.await.unwrap();
        assert_eq!(order["goods_cents"], 6400 * (1 + number % 3));
        assert_eq!(order["placed_by"], if number % 2 == 0 { "a" } else { "b" });
        ids.push(order["id"].as_u64().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=(EACH as u64 * 2)).collect::<Vec<_>>());
}
