//! What is sold. Part of the program, as the shop has no back office.

use serde::Serialize;

use crate::shop::money::Money;
use crate::shop::picture;

/// A product on sale.
#[derive(Debug, Serialize)]
pub(crate) struct Product {
    /// Stands in addresses and in the cart.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) category: Category,
    #[serde(rename = "price_cents")]
    pub(crate) price: Money,
    pub(crate) description: &'static str,
    /// An SVG document.
    #[serde(skip)]
    pub(crate) picture: &'static str,
}

/// A shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Category {
    Garden,
    Kitchen,
    Home,
}

impl Category {
    /// In the order of the navigation.
    pub(crate) const ALL: [Self; 3] = [Self::Garden, Self::Kitchen, Self::Home];

    /// As it stands in an address.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Garden => "garden",
            Self::Kitchen => "kitchen",
            Self::Home => "home",
        }
    }

    /// As people read it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Garden => "Garden",
            Self::Kitchen => "Kitchen",
            Self::Home => "Home",
        }
    }

    /// The category with this id.
    pub(crate) fn find(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.id() == id)
    }
}

/// The product with this id.
pub(crate) fn find(id: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.id == id)
}

/// The products of a category, or of all, that have every word of `text` in their name, category or description.
pub(crate) fn search(text: &str, category: Option<Category>) -> impl Iterator<Item = &'static Product> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    PRODUCTS.iter().filter(move |product| {
        let text = format!("{} {} {}", product.name, product.category.name(), product.description).to_lowercase();
        category.is_none_or(|category| category == product.category) && words.iter().all(|word| text.contains(word))
    })
}

const fn product(
    id: &'static str,
    name: &'static str,
    category: Category,
    cents: u32,
    picture: &'static str,
    description: &'static str,
) -> Product {
    Product { id, name, category, price: Money::cents(cents), description, picture }
}

/// All of them, in the order of the front page.
#[rustfmt::skip]
pub(crate) static PRODUCTS: [Product; 12] = [
    product("watering-can", "Watering can", Category::Garden, 34_00, picture::WATERING_CAN,
        "Five litres, galvanised, with a brass rose that rains gently enough for seedlings."),
    product("kettle", "Stovetop kettle", Category::Kitchen, 64_00, picture::KETTLE,
        "Steel, 1.8 litres, with a spout that pours where you look and a whistle in two notes."),
    product("lantern", "Storm lantern", Category::Home, 45_00, picture::LANTERN,
        "Burns for twenty hours on one filling and stays lit when the weather does not cooperate."),
    product("enamel-mug", "Enamel mug", Category::Kitchen, 12_00, picture::ENAMEL_MUG,
        "Survives campfires, dishwashers and being dropped. Chips become part of its biography."),
    product("rain-gauge", "Rain gauge", Category::Garden, 18_50, picture::RAIN_GAUGE,
        "Glass on a steel bracket, graduated to half a millimetre. For gardeners with opinions."),
    product("wool-blanket", "Wool blanket", Category::Home, 89_00, picture::WOOL_BLANKET,
        "Woven from undyed wool at a mill that still runs on its own river. 140 by 200 cm."),
    product("carafe", "Carafe", Category::Kitchen, 28_00, picture::CARAFE,
        "Mouth-blown glass for one litre of water, wine or wildflowers, with a cork that fits."),
    product("hand-trowel", "Hand trowel", Category::Garden, 14_00, picture::HAND_TROWEL,
        "Forged in one piece, with an ash handle that has the good manners not to wobble."),
    product("tide-clock", "Tide clock", Category::Home, 58_00, picture::TIDE_CLOCK,
        "One hand, one turn for every tide: twelve hours and twenty-five minutes. Always calm."),
    product("chopping-board", "Chopping board", Category::Kitchen, 32_00, picture::CHOPPING_BOARD,
        "End-grain beech, oiled by hand, kind to knives and heavy enough to stay where it is."),
    product("seed-tin", "Seed tin", Category::Garden, 9_90, picture::SEED_TIN,
        "Keeps a year of seed packets dry, dark and, with twelve dividers, in the right month."),
    product("paper-boat", "Paper boat kit", Category::Home, 7_50, picture::PAPER_BOAT,
        "Six sheets of waxed paper and one page of instructions. Floats for most of an afternoon."),
];
