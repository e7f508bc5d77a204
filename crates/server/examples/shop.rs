//! One instance of the demo's shop, for working on it: `cargo run --example shop -- 127.0.0.1:8000 a v1 /tmp/shop`.

#[path = "../src/shop/mod.rs"]
mod shop;

use std::error::Error;

use shop::{Instance, Parent, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &str| arguments.next().ok_or(format!("{name} is missing"));
    let instance = Instance {
        address: next("address")?.parse()?,
        name: next("name")?,
        version: next("version")?.parse()?,
        data: next("data")?.into(),
        parent: match std::env::var_os("SHOP_WATCH_PARENT") {
            Some(_) => Parent::Watched,
            None => Parent::Ignored,
        },
    };
    run(instance).await?;
    Ok(())
}
