//! Browsing, the cart, errors, headers.

use axum::http::StatusCode;

use super::browser::Browser;
use super::house::House;
use crate::shop::catalogue::PRODUCTS;
use crate::shop::version::Version;

#[tokio::test]
async fn the_front_page_shows_every_product_and_every_product_has_a_page() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    let front = browser.get(&app, "/").await;
    assert_eq!(front.status, StatusCode::OK);
    for product in &PRODUCTS {
        assert!(front.body.contains(&format!("href=\"/products/{}\"", product.id)), "{}", product.id);
        let page = browser.get(&app, &format!("/products/{}", product.id)).await;
        assert!(page.body.contains(&product.price.to_string()), "{}", product.id);
    }
}

#[tokio::test]
async fn search_and_category_narrow_the_shelf() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    let found = browser.get(&app, "/?q=GLASS+wine").await;
    assert_eq!(found.body.matches("<li><a href=\"/products/").count(), 1);
    assert!(found.body.contains("Carafe"));
    let garden = browser.get(&app, "/?category=garden").await;
    assert_eq!(garden.body.matches("<li><a href=\"/products/").count(), 4);
    assert_eq!(browser.get(&app, "/?category=attic").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_search_term_is_shown_as_text() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let page = Browser::default().get(&app, "/?q=%3Cscript%3Ealert(1)%3C/script%3E%22'%26").await;
    assert!(!page.body.contains("<script"));
    assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
}

#[tokio::test]
async fn the_versions_differ_in_banner_badge_and_shipping() {
    let house = House::new();
    let (one, two) = (house.instance("a", Version::V1).await, house.instance("c", Version::V2).await);
    let mut browser = Browser::default();
    browser.buy(&one, "carafe", 1).await;
    let (old, new) = (browser.get(&one, "/cart").await, browser.get(&two, "/cart").await);
    assert!(!old.body.contains("free shipping") && new.body.contains("free shipping"));
    assert!(old.body.contains("€32.90"), "28.00 and 4.90");
    assert!(new.body.contains("<dd class=\"total\">€28.00</dd>"));
    assert_eq!((old.header("x-shop-instance"), old.header("x-shop-version")), ("a", "v1"));
    assert_eq!((new.header("x-shop-instance"), new.header("x-shop-version")), ("c", "v2"));
}

#[tokio::test]
async fn a_cart_is_added_to_changed_and_emptied_on_any_instance() {
    let house = House::new();
    let (a, b) = (house.instance("a", Version::V1).await, house.instance("b", Version::V1).await);
    let mut browser = Browser::default();
    let added = browser.buy(&a, "kettle", 2).await;
    assert_eq!((added.status, added.header("location")), (StatusCode::SEE_OTHER, "/cart"));
    browser.buy(&b, "kettle", 1).await;
    let cart = browser.get(&a, "/cart").await;
    assert!(cart.body.contains("name=\"quantity\" value=\"3\""));
    assert!(cart.body.contains("€192.00"));
    let token = cart.field("token");
    browser.form(&b, "/cart", format!("token={token}&action=set&product=kettle&quantity=5")).await;
    assert!(browser.get(&a, "/cart").await.body.contains("€320.00"));
    let refused = browser.form(&b, "/cart", format!("token={token}&action=set&product=kettle&quantity=21")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    browser.form(&b, "/cart", format!("token={token}&action=remove&product=kettle")).await;
    assert!(browser.get(&a, "/cart").await.body.contains("Nothing in it yet"));
}

#[tokio::test]
async fn a_cookie_that_was_changed_counts_as_none() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    browser.buy(&app, "kettle", 1).await;
    let honest = browser.cookie.clone().unwrap();
    assert!(honest.contains("kettle~1"));
    for forged in [
        honest.replace("kettle~1", "kettle~9"),
        honest.replacen("shop_session=", "shop_session=x", 1),
        honest[..honest.len() - 1].to_owned(),
        honest.rsplit_once('.').unwrap().0.to_owned(),
        "shop_session=".to_owned(),
    ] {
        let mut forger = Browser { cookie: Some(forged.clone()), ..Browser::default() };
        assert!(forger.get(&app, "/cart").await.body.contains("Nothing in it yet"), "{forged}");
        assert_ne!(forger.cookie, Some(forged), "a new session");
    }
    let mut both = Browser { cookie: Some(format!("shop_session=junk; other=1; {honest}")), ..Browser::default() };
    assert!(both.get(&app, "/cart").await.body.contains("Stovetop kettle"));
}

#[tokio::test]
async fn another_shops_key_opens_nothing() {
    let (ours, theirs) = (House::new(), House::new());
    let (app, other) = (ours.instance("a", Version::V1).await, theirs.instance("a", Version::V1).await);
    let mut browser = Browser::default();
    browser.buy(&other, "kettle", 1).await;
    assert!(browser.get(&app, "/cart").await.body.contains("Nothing in it yet"));
}

#[tokio::test]
async fn a_form_without_its_visitors_token_is_refused() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let (mut visitor, mut stranger) = (Browser::default(), Browser::default());
    visitor.buy(&app, "kettle", 1).await;
    let strangers = stranger.get(&app, "/products/kettle").await.field("token");
    for token in ["", "junk", strangers.as_str()] {
        let answer = visitor.form(&app, "/cart", format!("token={token}&action=add&product=kettle")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{token:?}");
    }
    assert!(visitor.get(&app, "/cart").await.body.contains("value=\"1\""));
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_has_its_status_and_a_page() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let mut browser = Browser::default();
    for (method, uri, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/products/gold", 404),
        ("GET", "/orders/1", 404),
        ("GET", "/orders/one", 404),
        ("PUT", "/", 405),
        ("DELETE", "/cart", 405),
        ("POST", "/healthz", 405),
        ("GET", "/fail?status=99", 400),
        ("GET", "/ws", 400),
    ] {
        let answer = browser.send(&app, method, uri, None).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {uri}");
        assert!(answer.header("content-type").starts_with("text/html"), "{method} {uri}");
        assert!(answer.body.contains(&format!("<p class=\"code\">{status}</p>")), "{method} {uri}");
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{method} {uri}");
    }
    assert_eq!(browser.send(&app, "PUT", "/cart", None).await.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let answer = Browser::default().form(&app, "/cart", "x=".to_owned() + &"y".repeat(20_000)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn every_answer_protects_the_browser_and_says_how_long_it_lasts() {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    for (uri, cache) in [
        ("/", "private, no-cache"),
        ("/nothing", "private, no-cache"),
        ("/api/products", "public, max-age=60"),
        ("/assets/live.js", "public, max-age=60"),
        ("/api/cart", "no-store"),
        ("/whoami", "no-store"),
        ("/healthz", "no-store"),
    ] {
        let answer = Browser::default().get(&app, uri).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{uri}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{uri}");
        assert_eq!(answer.header("cache-control"), cache, "{uri}");
    }
}
