//! Step 3, annotate: write counts on links as an attribute and draw them with one stylesheet. No node is ever inserted.

use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::{CssStyleSheet, Document, Element};

/// The attribute that carries a count.
pub(crate) const ATTRIBUTE: &str = "data-viewers";

/// Draws every count, in a tint of its link's own colour, so that it is at home on light and dark pages alike. The custom
/// properties are for the page to set. Screen readers hear "(3 viewing now)" where browsers know the second `content`;
/// on paper, where nothing is live, there is no count.
const STYLE: &str = "\
    a[data-viewers]::after{\
        content:attr(data-viewers);\
        content:attr(data-viewers)/\" (\"attr(data-viewers)\" viewing now)\";\
        display:inline-block;\
        margin-inline-start:var(--viewers-gap,.35em);\
        padding:0 .45em;\
        border-radius:var(--viewers-radius,1em);\
        background:var(--viewers-background,color-mix(in srgb,currentColor 14%,transparent));\
        color:var(--viewers-color,inherit);\
        font-size:var(--viewers-size,.75em);\
        font-weight:600;\
        line-height:1.5;\
        font-variant-numeric:tabular-nums;\
        vertical-align:.12em;\
        white-space:nowrap\
    }\
    @media print{a[data-viewers]::after{content:none}}";

#[wasm_bindgen]
extern "C" {
    /// An element that may carry a count. The browser turns the number into text and compares the two, which is code we
    /// need not bring.
    #[wasm_bindgen(extends = Element)]
    type Counted;
    #[wasm_bindgen(method, js_name = getAttribute)]
    fn text(this: &Counted, name: &str) -> JsValue;
    #[wasm_bindgen(method, js_name = setAttribute)]
    fn set_number(this: &Counted, name: &str, value: f64);
}

/// Viewers of one page: what the server said last, and what the page's links show. A number is one that JavaScript
/// counts exactly; nobody else ever looks at it.
#[derive(Default)]
pub(crate) struct Count {
    latest: f64,
    shown: f64,
}

/// What the links of a page must be changed from and to.
#[derive(Debug, PartialEq)]
pub(crate) struct Rewrite {
    from: f64,
    to: f64,
}

impl Count {
    /// Takes the server's word. With `hold_falls`, lower numbers wait for [`Self::settle`].
    pub(crate) fn hear(&mut self, viewers: f64, hold_falls: bool) -> Option<Rewrite> {
        self.latest = viewers;
        if hold_falls && viewers < self.shown { None } else { self.settle() }
    }

    /// Forgets the server's word but not what is shown.
    pub(crate) fn doubt(&mut self) {
        self.latest = 0.0;
    }

    /// Shows the server's word, even if it is lower.
    pub(crate) fn settle(&mut self) -> Option<Rewrite> {
        if self.latest == self.shown {
            return None;
        }
        let from = std::mem::replace(&mut self.shown, self.latest);
        Some(Rewrite { from, to: self.latest })
    }

    /// For a link that is new on its page.
    pub(crate) fn begin(&self) -> Rewrite {
        Rewrite { from: 0.0, to: self.shown }
    }

    /// For a link that is to be as if we had never been there.
    pub(crate) fn end(&self) -> Rewrite {
        Rewrite { from: self.shown, to: 0.0 }
    }
}

impl Rewrite {
    /// Changes `link`, unless its attribute is no longer what we wrote: then someone else has taken it over.
    pub(crate) fn apply(&self, link: &Element) {
        if self.from == self.to {
            return;
        }
        let link = link.unchecked_ref::<Counted>();
        let found = link.text(ATTRIBUTE);
        let is_ours = found.is_null() || self.from > 0.0 && found.loose_eq(&self.from.into());
        if is_ours && self.to > 0.0 {
            link.set_number(ATTRIBUTE, self.to);
        } else if is_ours {
            let _ = link.remove_attribute(ATTRIBUTE);
        }
    }
}

/// Our stylesheet, as long as it is in use.
pub(crate) struct Stylesheet {
    document: Document,
    sheet: CssStyleSheet,
}

impl Stylesheet {
    /// Adds it to `document`, where it survives whatever happens to the elements.
    pub(crate) fn adopt(document: &Document) -> Result<Self, JsValue> {
        let sheet = CssStyleSheet::new()?;
        sheet.replace_sync(STYLE)?;
        let adopted = document.adopted_style_sheets();
        document.set_adopted_style_sheets(&adopted.concat(&Array::of1(&sheet)));
        Ok(Self { document: document.clone(), sheet })
    }
}

impl Drop for Stylesheet {
    fn drop(&mut self) {
        let others = Array::new();
        for sheet in self.document.adopted_style_sheets().iter() {
            if sheet != ***self.sheet {
                others.push(&sheet);
            }
        }
        self.document.set_adopted_style_sheets(&others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(viewers: f64) -> Count {
        Count { latest: viewers, shown: viewers }
    }

    #[test]
    fn changes_show_at_once() {
        let mut count = shown(3.0);
        assert_eq!(count.hear(5.0, false), Some(Rewrite { from: 3.0, to: 5.0 }));
        assert_eq!(count.hear(2.0, false), Some(Rewrite { from: 5.0, to: 2.0 }));
        assert_eq!(count.hear(2.0, false), None);
    }

    #[test]
    fn held_falls_wait_but_rises_do_not() {
        let mut count = shown(3.0);
        assert_eq!(count.hear(1.0, true), None);
        assert_eq!(count.hear(4.0, true), Some(Rewrite { from: 3.0, to: 4.0 }));
        assert_eq!(count.hear(2.0, true), None);
        assert_eq!(count.settle(), Some(Rewrite { from: 4.0, to: 2.0 }));
    }

    #[test]
    fn held_fall_that_rose_again_was_never_seen() {
        let mut count = shown(3.0);
        assert_eq!(count.hear(0.0, true), None);
        assert_eq!(count.hear(3.0, true), None);
        assert_eq!(count.settle(), None);
    }

    #[test]
    fn doubted_counts_that_nobody_confirms_end() {
        let mut count = shown(3.0);
        count.doubt();
        assert_eq!(count.begin(), Rewrite { from: 0.0, to: 3.0 }, "a new link still shows what the others do");
        assert_eq!(count.settle(), Some(Rewrite { from: 3.0, to: 0.0 }));
    }

    #[test]
    fn links_end_as_they_began() {
        assert_eq!(shown(3.0).end(), Rewrite { from: 3.0, to: 0.0 });
    }
}
