//! The products' pictures: SVG drawn by hand, inline in the page, so that a page is one request.
//!
//! Attributes only, no `style`: the content security policy allows no inline style but the page's own.

macro_rules! picture {
    ($($shape:literal)*) => {
        concat!(
            r#"<svg viewBox="0 0 120 120" fill="none" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">"#,
            $($shape,)*
            "</svg>"
        )
    };
}

pub(crate) const WATERING_CAN: &str = picture!(
    r##"<path d="M78 50h20c10 0 12 16 2 24l-20 16" stroke="#5b7083" stroke-width="6"/>"##
    r##"<path d="M40 74 20 46" stroke="#7d95a8" stroke-width="8"/><path d="m11 50 15-11" stroke="#c79a4b" stroke-width="7"/>"##
    r##"<path d="M38 48h42l6 50H34z" fill="#8fa8ba"/><path d="M38 48h20l-4 50H34z" fill="#a9bfce"/>"##
    r##"<path d="M42 48c0-18 34-18 34 0" stroke="#5b7083" stroke-width="6"/>"##
    r##"<path d="M10 62v4M4 56v4M17 66v4" stroke="#4c9fd6" stroke-width="4"/>"##
);
pub(crate) const KETTLE: &str = picture!(
    r##"<path d="M36 50c0-34 48-34 48 0" stroke="#39424c" stroke-width="6"/><path d="m88 74 18-18" stroke="#a8402f" stroke-width="10"/>"##
    r##"<path d="M28 96c-8-22 6-46 32-46s40 24 32 46z" fill="#c8503c"/><path d="M28 96c-8-22 6-46 32-46-16 8-22 26-18 46z" fill="#db6b57"/>"##
    r##"<circle cx="60" cy="47" r="6" fill="#39424c"/><path d="M26 98h68" stroke="#39424c" stroke-width="5"/>"##
);
pub(crate) const LANTERN: &str = picture!(
    r##"<path d="M38 34c0-30 44-30 44 0" stroke="#4a4f57" stroke-width="4"/><path d="M46 30h28l6 12H40z" fill="#3d6b63"/>"##
    r##"<path d="M42 42h36c8 14 8 26 0 40H42c-8-14-8-26 0-40z" fill="#fbeec3"/><path d="M60 52c10 12 8 24 0 24s-10-12 0-24z" fill="#f0962e"/>"##
    r##"<path d="M60 62c5 6 4 12 0 12s-5-6 0-12z" fill="#fbd95c"/><path d="M38 82h44l6 18H32z" fill="#3d6b63"/><path d="M38 82h18l-6 18H32z" fill="#4f8379"/>"##
);
pub(crate) const ENAMEL_MUG: &str = picture!(
    r##"<path d="M82 52c24-4 24 32 0 28" stroke="#dfe5ea" stroke-width="8"/><path d="M32 40h52v48c0 6-4 10-10 10H42c-6 0-10-4-10-10z" fill="#f5f7f9"/>"##
    r##"<path d="M32 40h16v58h-6c-6 0-10-4-10-10z" fill="#fff"/><path d="M30 40h56" stroke="#2f5c8f" stroke-width="6"/>"##
    r##"<path d="M60 58c8 10 7 18 0 18s-8-8 0-18z" fill="#2f5c8f"/><path d="M50 26c-4-6 4-8 0-14M66 26c-4-6 4-8 0-14" stroke="#b9c6d1" stroke-width="3"/>"##
);
pub(crate) const RAIN_GAUGE: &str = picture!(
    r##"<path d="M78 20v84" stroke="#6d7781" stroke-width="6"/><path d="M44 18h32v74c0 12-32 12-32 0z" fill="#e4f1f9"/>"##
    r##"<path d="M44 62h32v30c0 12-32 12-32 0z" fill="#4c9fd6"/><path d="M44 62h12v37c-7-1-12-3-12-7z" fill="#73b7e4"/>"##
    r##"<path d="M46 32h10M46 42h6M46 52h10M46 62h6M46 72h10M46 82h6" stroke="#33526a" stroke-width="2.5"/><path d="M40 18h40" stroke="#6d7781" stroke-width="5"/>"##
);
pub(crate) const WOOL_BLANKET: &str = picture!(
    r##"<rect x="22" y="34" width="76" height="22" rx="11" fill="#efe6d6"/><rect x="22" y="54" width="76" height="22" rx="11" fill="#e3d5bd"/>"##
    r##"<rect x="22" y="74" width="76" height="22" rx="11" fill="#d3bf9f"/><path d="M44 34v22M44 54v22M44 74v22" stroke="#a4573f" stroke-width="6"/>"##
    r##"<path d="M54 34v22M54 54v22M54 74v22" stroke="#3d6b63" stroke-width="3"/><path d="M92 98v7M84 98v7M76 98v7M68 98v7M60 98v7M52 98v7M44 98v7M36 98v7M28 98v7" stroke="#d3bf9f" stroke-width="3"/>"##
);
pub(crate) const CARAFE: &str = picture!(
    r##"<path d="M50 24h20v20c0 8 18 22 18 40 0 14-10 20-28 20s-28-6-28-20c0-18 18-32 18-40z" fill="#e3f0f4"/>"##
    r##"<path d="M35 76h50c2 4 3 6 3 9 0 13-10 19-28 19s-28-6-28-19c0-3 1-5 3-9z" fill="#8cc5d8"/>"##
    r##"<path d="M53 40c0 12-14 20-16 36" stroke="#fff" stroke-width="4"/><rect x="51" y="12" width="18" height="18" rx="3" fill="#c49a6c"/><path d="M48 30h24" stroke="#a9cbd6" stroke-width="4"/>"##
);
pub(crate) const HAND_TROWEL: &str = picture!(
    r##"<path d="m92 22-18 20" stroke="#c28f57" stroke-width="15"/><path d="m88 22-14 16" stroke="#d6a870" stroke-width="5"/><path d="M74 42 60 58" stroke="#59636d" stroke-width="6"/>"##
    r##"<path d="M72 68C60 90 42 100 20 104c4-22 14-40 34-52 10-4 22 6 18 16z" fill="#8794a0"/><path d="M62 56C46 68 32 84 20 104c4-22 14-40 34-52 3-1 6 1 8 4z" fill="#a8b4be"/>"##
);
pub(crate) const TIDE_CLOCK: &str = picture!(
    r##"<circle cx="60" cy="60" r="46" fill="#274860"/><circle cx="60" cy="60" r="38" fill="#f7f3e8"/>"##
    r##"<path d="M24 66c8-7 16-7 24 0s16 7 24 0 16-7 24 0c-3 18-17 32-36 32S27 84 24 66z" fill="#7fbcd2"/><path d="M28 78c8-6 14-6 21 0s15 6 22 0 14-6 21 0c-6 12-17 20-32 20s-26-8-32-20z" fill="#4d97b5"/>"##
    r##"<path d="M60 60 78 36" stroke="#c8503c" stroke-width="5"/><circle cx="60" cy="60" r="5" fill="#c8503c"/><path d="M60 26v5M94 60h-5M31 60h-5" stroke="#274860" stroke-width="3"/>"##
);
pub(crate) const CHOPPING_BOARD: &str = picture!(
    r##"<rect x="30" y="34" width="60" height="74" rx="10" fill="#d9a866"/><rect x="50" y="10" width="20" height="34" rx="9" fill="#d9a866"/><circle cx="60" cy="21" r="5" fill="#f7efe2"/>"##
    r##"<path d="M42 46v50M54 46v50M66 46v50M78 46v50" stroke="#c48f4b" stroke-width="3"/><path d="M48 78c-6-14 6-24 18-18 12 6 10 22-2 24-8 1-13-1-16-6z" fill="#d6493d"/><path d="M62 60c0-6 4-9 9-10" stroke="#4f8a3c" stroke-width="4"/>"##
);
pub(crate) const SEED_TIN: &str = picture!(
    r##"<path d="M24 52h72v46c0 4-3 6-6 6H30c-3 0-6-2-6-6z" fill="#6f9460"/><path d="M24 52h20v52H30c-3 0-6-2-6-6z" fill="#84a975"/>"##
    r##"<path d="M34 52V26h16v26M52 52V20h18v32M72 52V28h16v24" fill="#fdf6e3" stroke="#d8c9a3" stroke-width="2"/><circle cx="61" cy="34" r="5" fill="#e8a33d"/><circle cx="42" cy="38" r="4" fill="#c8503c"/><circle cx="80" cy="39" r="4" fill="#7a5ca8"/>"##
    r##"<rect x="44" y="68" width="32" height="20" rx="3" fill="#fdf6e3"/><path d="M60 84v-9c-6 0-8-3-8-6 6 0 8 3 8 6 0-4 3-7 8-7 0 4-3 7-8 7" stroke="#5a8048" stroke-width="2.5"/>"##
);
pub(crate) const PAPER_BOAT: &str = picture!(
    r##"<path d="M60 20 88 74H32z" fill="#fff"/><path d="M60 20v54H32z" fill="#e9edf1"/><path d="M14 66h92L88 94H32z" fill="#f4b942"/><path d="M14 66h46l-4 28H32z" fill="#f8cd70"/>"##
    r##"<path d="M8 98c9-7 17-7 26 0s17 7 26 0 17-7 26 0 17 7 26 0" stroke="#4c9fd6" stroke-width="6"/>"##
);
