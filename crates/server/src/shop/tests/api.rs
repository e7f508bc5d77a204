//! The JSON API.

use axum::http::StatusCode;
use serde_json::json;

use super::browser::Browser;
use super::house::House;
use crate::shop::version::Version;

#[tokio::test]
async fn products_are_listed_filtered_and_found() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    let all = browser.get(&app, "/api/products").await.value();
    assert_eq!(all["products"].as_array().unwrap().len(), 12);
    let home = browser.get(&app, "/api/products?category=home&q=clock").await.value();
    assert_eq!(home["products"][0]["id"], "tide-clock");
    let kettle = browser.get(&app, "/api/products/kettle").await.value();
    assert_eq!(kettle["price_cents"], 6400);
    assert_eq!(kettle["category"], "kitchen");
}

#[tokio::test]
async fn a_cart_is_replaced_and_emptied() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    let items = json!({ "items": [{ "product": "carafe", "quantity": 2 }] });
    assert_eq!(browser.json(&app, "PUT", "/api/cart", items).await.status, StatusCode::OK);
    assert_eq!(
        browser.get(&app, "/api/cart").await.value(),
        json!({
            "items": [{ "product": "carafe", "quantity": 2, "total_cents": 5600 }],
            "goods_cents": 5600, "shipping_cents": 490, "total_cents": 6090,
        })
    );
    assert_eq!(browser.send(&app, "DELETE", "/api/cart", None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(browser.get(&app, "/api/cart").await.value()["items"], json!([]));
}

#[tokio::test]
async fn an_order_without_items_is_the_carts() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    browser.json(&app, "PUT", "/api/cart", json!({ "items": [{ "product": "kettle", "quantity": 2 }] })).await;
    let order = json!({ "name": "Ada", "email": "ada@example.com", "address": "1 Mill Lane" });
    let placed = browser.json(&app, "POST", "/api/orders", order.clone()).await;
    assert_eq!((placed.status, placed.header("location")), (StatusCode::CREATED, "/api/orders/1"));
    assert_eq!(placed.value()["total_cents"], 12800);
    assert_eq!(browser.get(&app, "/api/orders/1").await.value(), placed.value());
    let again = browser.json(&app, "POST", "/api/orders", order).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "the cart is empty now");
}

#[tokio::test]
async fn an_idempotency_key_makes_one_order_for_each_visitor() {
    let house = House::new();
    let (a, b) = (house.instance("a", Version::V1).await, house.instance("b", Version::V1).await);
    let order = json!({
        "name": "Ada", "email": "ada@example.com", "address": "1 Mill Lane",
        "items": [{ "product": "kettle", "quantity": 1 }],
    });
    let mut ada = Browser { idempotency_key: Some("once"), ..Browser::default() };
    let mut bob = ada.clone();
    let first = ada.json(&a, "POST", "/api/orders", order.clone()).await;
    let second = ada.json(&b, "POST", "/api/orders", order.clone()).await;
    assert_eq!(first.value(), second.value());
    assert_eq!(bob.json(&a, "POST", "/api/orders", order.clone()).await.value()["id"], 2);
    ada.idempotency_key = Some("not printable: ");
    assert_eq!(ada.json(&a, "POST", "/api/orders", order).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_wrong_is_a_problem_document() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    let order = |product: &str, quantity: u32| json!({ "name": "A", "email": "a@b", "address": "c", "items": [{ "product": product, "quantity": quantity }] });
    let none = browser.send(&app, "GET", "/api/nothing", None).await;
    let gold = browser.json(&app, "POST", "/api/orders", order("gold", 1)).await;
    let zero = browser.json(&app, "POST", "/api/orders", order("kettle", 0)).await;
    let form = browser.form(&app, "/api/orders", "name=A".to_owned()).await;
    let patch = browser.send(&app, "PATCH", "/api/cart", None).await;
    for (answer, status) in [(none, 404), (gold, 422), (zero, 422), (form, 415), (patch, 405)] {
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.value()["status"], status);
    }
}
