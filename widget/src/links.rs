//! Step 1, discover: which links on the page are counted, which page each leads to, and what to ask the server for.

use connection_counter_protocol::{MAX_LINKS_PER_CONNECTION, PageId, wire};
use js_sys::{Array, Map, Set};
use wasm_bindgen::prelude::*;
use web_sys::{Element, MutationObserverInit, MutationRecord, Node};

use crate::{
    annotate::{ATTRIBUTE, Count, Rewrite},
    host_page::HostPage,
    message::Message,
};

/// Marks a link, or everything in an element, as none of our business.
const IGNORE: &str = "data-viewers-ignore";

#[wasm_bindgen]
extern "C" {
    /// An element that may be a link.
    #[wasm_bindgen(extends = Element)]
    pub(crate) type Link;
    #[wasm_bindgen(method, getter)]
    pub(crate) fn href(this: &Link) -> JsValue;
    // These two are called for every link, so their arguments stay in the browser's memory.
    #[wasm_bindgen(method)]
    fn matches(this: &Link, selector: &JsValue) -> bool;
    #[wasm_bindgen(method, js_name = getAttribute)]
    fn attribute(this: &Link, name: &JsValue) -> JsValue;
}

/// Every link that is counted, by the page it leads to.
pub(crate) struct Links {
    /// Matches the links to consider.
    selector: JsValue,
    /// Matches those of them that carry no number yet.
    unmarked: JsValue,
    /// The name of the attribute.
    href: JsValue,
    /// In the order of discovery, which at first is document order, and so by ascending key.
    pages: Vec<Page>,
    /// Never given twice. A number as JavaScript has it, because that is where it is kept.
    next_key: f64,
    /// Page id to key. A map of the browser's: the server's ids are looked up in it without being copied.
    by_id: Map,
    /// Link to key of its page.
    by_link: Map,
    /// Links came or went since there was last nothing to tell.
    has_news: bool,
}

/// A page that links lead to.
struct Page {
    key: f64,
    id: PageId,
    links: Set,
    count: Count,
    /// The server was told that we want to know.
    told: bool,
}

impl Page {
    fn rewrite(&self, rewrite: Option<Rewrite>) {
        if let Some(rewrite) = rewrite {
            for link in Array::from(&self.links).iter() {
                rewrite.apply(link.unchecked_ref());
            }
        }
    }
}

impl Links {
    /// Knows no links yet. `selector` must be valid.
    pub(crate) fn new(selector: &str) -> Self {
        let selector = [":is(", selector, "):not([", IGNORE, "],[", IGNORE, "] *,svg *)"].concat();
        let unmarked = [&*selector, ":not([", ATTRIBUTE, "])"].concat();
        Self {
            selector: selector.into(),
            unmarked: unmarked.into(),
            href: "href".into(),
            pages: Vec::new(),
            next_key: 0.0,
            by_id: Map::new(),
            by_link: Map::new(),
            has_news: false,
        }
    }

    /// What a mutation observer must watch for [`Self::follow`].
    pub(crate) fn observed() -> MutationObserverInit {
        let observed = MutationObserverInit::new();
        observed.set_child_list(true);
        observed.set_subtree(true);
        observed.set_attribute_filter(&Array::of2(&"href".into(), &IGNORE.into()));
        observed
    }

    /// Takes in a batch of mutations, looking at what they touched and nothing else.
    pub(crate) fn follow(&mut self, records: &Array, host: &HostPage) {
        let addresses = Map::new();
        for record in records.iter() {
            let record = record.unchecked_ref::<MutationRecord>();
            let added = Array::from(&record.added_nodes());
            let removed = Array::from(&record.removed_nodes());
            for node in added.iter().chain(removed.iter()) {
                self.examine(node.unchecked_ref(), host, &addresses);
            }
            if record.attribute_name().is_some()
                && let Some(node) = record.target()
            {
                self.examine(&node, host, &addresses);
            }
        }
    }

    /// Looks at all elements below `root`.
    pub(crate) fn examine_all(&mut self, root: &Element, host: &HostPage) {
        self.examine(root, host, &Map::new());
    }

    /// Looks at `node` and all elements in it, whether they were added, changed or removed. `addresses` remembers, for this
    /// batch, which page each `href` means.
    fn examine(&mut self, node: &Node, host: &HostPage, addresses: &Map) {
        if node.node_type() != Node::ELEMENT_NODE {
            return;
        }
        let root = node.unchecked_ref::<Element>();
        self.examine_link(root.unchecked_ref(), host, addresses);
        if let Ok(candidates) = root.query_selector_all("[href]") {
            for link in Array::from(&candidates).iter() {
                self.examine_link(link.unchecked_ref(), host, addresses);
            }
        }
    }

    fn examine_link(&mut self, link: &Link, host: &HostPage, addresses: &Map) {
        let known = self.by_link.get(link).as_f64();
        // A number that is already on a link we do not know is the page's own.
        let selector = if known.is_some() { &self.selector } else { &self.unmarked };
        let key =
            if link.is_connected() && link.matches(selector) { self.key_behind(link, host, addresses) } else { None };
        if key == known {
            return;
        }
        if let Some(page) = known.and_then(|key| self.page(key)) {
            page.count.end().apply(link);
            page.links.delete(link);
            self.by_link.delete(link);
            self.has_news = true;
            if !link.matches(&self.unmarked) {
                return;
            }
        }
        if let Some(page) = key.and_then(|key| self.page(key)) {
            page.count.begin().apply(link);
            page.links.add(link);
            let key = page.key.into();
            self.by_link.set(link, &key);
        }
    }

    /// The key of the page that `link` leads to, if that is to be counted.
    fn key_behind(&mut self, link: &Link, host: &HostPage, addresses: &Map) -> Option<f64> {
        let written = link.attribute(&self.href);
        let mut key = addresses.get(&written);
        if key.is_undefined() {
            // Only here is the address resolved, which costs a browser more than all else we do for a link together.
            let id = link.href().as_string().and_then(|href| host.leads_to(&href));
            key = id.map_or(JsValue::NULL, |id| self.key_of(id).into());
            addresses.set(&written, &key);
        }
        key.as_f64()
    }

    /// The key of the page with this `id`, which from now on is one of ours.
    fn key_of(&mut self, id: PageId) -> f64 {
        let name = JsValue::from(id.as_str());
        if let Some(key) = self.by_id.get(&name).as_f64() {
            return key;
        }
        self.has_news = true;
        let key = self.next_key;
        self.next_key += 1.0;
        self.by_id.set(&name, &key.into());
        self.pages.push(Page { key, id, links: Set::new_typed(), count: Count::default(), told: false });
        key
    }

    fn page(&mut self, key: f64) -> Option<&mut Page> {
        let idx = self.pages.binary_search_by(|page| page.key.total_cmp(&key)).ok()?;
        self.pages.get_mut(idx)
    }

    /// What the server should be told next, if anything: first which pages no link leads to any more, then which are new.
    /// Pages beyond what one connection may watch wait, without a number, until others are gone.
    pub(crate) fn next_message(&mut self) -> Option<String> {
        if !self.has_news {
            return None;
        }
        let mut message = self.sweep();
        if message.is_empty() {
            message = Message::new(wire::SUBSCRIBE);
            for page in self.pages.iter_mut().take(MAX_LINKS_PER_CONNECTION).filter(|page| !page.told) {
                page.told = message.add(page.id.as_str());
                if !page.told {
                    break;
                }
            }
        }
        self.has_news = !message.is_empty();
        self.has_news.then(|| message.finish())
    }

    /// Nobody is there to be told: only forgets what is gone.
    pub(crate) fn tidy(&mut self) {
        if std::mem::take(&mut self.has_news) {
            self.sweep();
        }
    }

    /// The connection is a new one: all the server was told is news again.
    pub(crate) fn untell(&mut self) {
        for page in &mut self.pages {
            page.told = false;
        }
        self.has_news = true;
    }

    /// Forgets the pages no link leads to. Answers with what to tell the server about it; what does not fit stays.
    fn sweep(&mut self) -> Message {
        let mut gone = Message::new(wire::UNSUBSCRIBE);
        let by_id = &self.by_id;
        self.pages.retain(|page| {
            let stays = page.links.size() > 0 || page.told && !gone.add(page.id.as_str());
            if !stays {
                by_id.delete(&page.id.as_str().into());
            }
            stays
        });
        gone
    }

    /// The page `id` has so many viewers. An id that no link leads to means nothing.
    pub(crate) fn hear(&mut self, id: &JsValue, viewers: f64, hold_falls: bool) {
        if let Some(page) = self.by_id.get(id).as_f64().and_then(|key| self.page(key)) {
            let rewrite = page.count.hear(viewers, hold_falls);
            page.rewrite(rewrite);
        }
    }

    /// From now on only what the server says again is true; what is shown stays until [`Self::settle`].
    pub(crate) fn doubt(&mut self) {
        for page in &mut self.pages {
            page.count.doubt();
        }
    }

    /// Shows what is true.
    pub(crate) fn settle(&mut self) {
        for page in &mut self.pages {
            let rewrite = page.count.settle();
            page.rewrite(rewrite);
        }
    }
}

/// Leaves every link as it was found.
impl Drop for Links {
    fn drop(&mut self) {
        self.doubt();
        self.settle();
    }
}
