//! The front page with its search and categories, and the page of one product.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::shop::app::App;
use crate::shop::catalogue::{self, Category, Product};
use crate::shop::failure::Failure;
use crate::shop::html::Markup;
use crate::shop::page::{Page, token_field};
use crate::shop::session::Session;

/// What the front page shows.
#[derive(Debug, Deserialize)]
pub(crate) struct Browse {
    /// Words to search for.
    #[serde(default)]
    q: String,
    /// A category's id; one that does not exist finds nothing.
    category: Option<String>,
}

/// `GET /?q=&category=`
pub(crate) async fn index(
    State(app): State<Arc<App>>,
    session: Session,
    Query(Browse { q, category }): Query<Browse>,
) -> Result<Response, Failure> {
    let category = match category.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => Some(Category::find(id).ok_or(Failure::NotFound("There is no such category."))?),
        None => None,
    };
    let found: Vec<_> = catalogue::search(&q, category).collect();
    let heading = match (q.trim(), category) {
        ("", None) => html!("<h1>Good things that last</h1><p>For the garden, the kitchen and the days between.</p>"),
        ("", Some(category)) => html!("<h1>{name}</h1>", name = category.name()),
        (words, _) => html!("<h1>Search: “{words}”</h1>", words = words),
    };
    let nothing = found.is_empty().then(|| html!(r#"<p class="empty">Nothing here. Try another word.</p>"#));
    let body = html!(
        r#"<section class="hero">{heading}
<form class="search" role="search" action="/" method="get">
{category}
<input type="search" name="q" value="{q}" placeholder="Search the shop" aria-label="Search the shop" maxlength="100">
<button>Search</button>
</form></section>
<ul class="shelf">{tiles}</ul>{nothing}"#,
        heading = heading,
        category =
            category.map(|category| html!(r#"<input type="hidden" name="category" value="{id}">"#, id = category.id())),
        q = q,
        tiles = found.into_iter().map(tile).collect::<Markup>(),
        nothing = nothing,
    );
    let title = category.map_or("Shop", Category::name);
    Ok(Page { app: &app, session: Some(&session), title, body }.answer(StatusCode::OK))
}

/// `GET /products/{id}`
pub(crate) async fn product(
    State(app): State<Arc<App>>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let product = catalogue::find(&id).ok_or(Failure::NotFound("We do not sell that."))?;
    let quantities: Markup = (1_u8..=5).map(|count| html!("<option>{count}</option>", count = count)).collect();
    let body = html!(
        r#"<article class="product">
<div class="picture">{picture}</div>
<div>
<p class="crumbs"><a href="/">Shop</a> / <a href="/?category={category}">{category_name}</a></p>
<h1>{name}</h1>
<p class="price">{price}</p>
<p>{description}</p>
<form action="/cart" method="post" class="row">
{token}
<input type="hidden" name="product" value="{id}">
<label>Quantity <select name="quantity">{quantities}</select></label>
<button name="action" value="add">Add to cart</button>
</form>
</div>
</article>"#,
        picture = Markup::trusted(product.picture),
        category = product.category.id(),
        category_name = product.category.name(),
        name = product.name,
        price = product.price,
        description = product.description,
        token = token_field(&app, &session),
        id = product.id,
        quantities = quantities,
    );
    Ok(Page { app: &app, session: Some(&session), title: product.name, body }.answer(StatusCode::OK))
}

fn tile(product: &Product) -> Markup {
    html!(
        r#"<li><a href="/products/{id}"><div class="picture">{picture}</div><h2>{name}</h2><p class="price">{price}</p></a></li>"#,
        id = product.id,
        picture = Markup::trusted(product.picture),
        name = product.name,
        price = product.price,
    )
}
