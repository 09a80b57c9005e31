//! Who may use this server: which sites, from which origins, and who holds the party token.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use connection_counter_protocol::{PageId, PageIdError};
use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::{
    party::credentials,
    refusal::Refusal,
    settings::{Settings, SettingsError},
};

/// The rules of who may use the server: the sites of `--site`, and the party token.
#[derive(Clone, Debug)]
pub struct Access {
    /// The listed sites. This and the next two are empty on an open server.
    sites: BTreeSet<String>,
    /// The endings of hosts that are sites, such as `.example.org`.
    endings: Vec<String>,
    /// Other names of sites, each with the name of its site.
    aliases: BTreeMap<String, String>,
    /// Whether the server has its own pages. The site of these pages is the address at which the server is reached.
    own_pages: bool,
    /// The secret for changing counts from outside. `None` if nobody may.
    party_token: Option<String>,
}

impl Access {
    pub(crate) fn new(settings: &Settings, has_assets: bool) -> Result<Self, SettingsError> {
        let mut access = Self {
            sites: BTreeSet::new(),
            endings: Vec::new(),
            aliases: BTreeMap::new(),
            own_pages: settings.demo || has_assets,
            party_token: settings.party_token.clone(),
        };
        for site in &settings.sites {
            access.add(site)?;
        }
        // A name that is a site cannot be another name of a second one.
        match access.aliases.keys().find(|alias| access.sites.contains(*alias)) {
            Some(name) => Err(SettingsError::TwoSites { name: name.clone() }),
            None => Ok(access),
        }
    }

    /// Adds the value of one `--site`: `example.org`, `*.example.org`, or `example.org=www.example.org`.
    fn add(&mut self, site: &str) -> Result<(), SettingsError> {
        let invalid = |source| SettingsError::Site { site: site.to_owned(), source };
        if let Some(domain) = site.strip_prefix("*.") {
            let domain = listed_site(domain).map_err(invalid)?;
            // An address has no sub-domains.
            if domain.split(':').next().is_some_and(|name| name.parse::<Ipv4Addr>().is_ok()) || domain.starts_with('[')
            {
                return Err(invalid(PageIdError::Host));
            }
            self.endings.push(format!(".{domain}"));
            return Ok(());
        }
        let mut names = site.split('=').map(|name| listed_site(name.trim()).map_err(invalid));
        let main = names.next().unwrap_or(Err(invalid(PageIdError::Empty)))?;
        for alias in names {
            let alias = alias?;
            if alias == main {
                continue;
            }
            if self.aliases.insert(alias.clone(), main.clone()).is_some_and(|other| other != main) {
                return Err(SettingsError::TwoSites { name: alias });
            }
        }
        self.sites.insert(main);
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.sites.is_empty() && self.endings.is_empty()
    }

    /// Whether the site is listed, by its name or by `*.` and an ending.
    fn lists(&self, site: &str) -> bool {
        let is_within = |ending: &String| site.strip_suffix(ending).is_some_and(|name| !name.is_empty());
        self.sites.contains(site) || self.endings.iter().any(is_within)
    }

    /// The sites that are listed by their names.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.sites.iter().map(String::as_str)
    }

    /// Whether the site is listed by its full name. Then nobody else can have made it up.
    pub(crate) fn names(&self, site: &str) -> bool {
        self.sites.contains(site)
    }

    /// The page that a page of an alias stands for. `None` for all others.
    pub(crate) fn main_page(&self, page: &PageId) -> Option<PageId> {
        let alias = page.site()?;
        let main = self.main_site(alias)?;
        PageId::parse(&format!("{main}{}", page.as_str().strip_prefix(alias)?)).ok()
    }

    /// The site that this is another name of. `None` for all others. A name with a dot at its end is another name, although
    /// browsers take it for another site.
    pub(crate) fn main_site<'a>(&'a self, alias: &'a str) -> Option<Cow<'a, str>> {
        let without_dot = without_last_dot(alias);
        let main = self.aliases.get(without_dot.as_ref()).map(String::as_str);
        main.map(Cow::from).or(Some(without_dot).filter(|name| name != alias))
    }

    /// Whether pages of this site may be counted and watched. Ids without a site (`None`) are always allowed.
    #[must_use]
    pub fn serves(&self, site: Option<&str>) -> bool {
        self.is_open() || site.is_none_or(|site| self.lists(site))
    }

    /// Whether a page with this request's origin may be counted as `page`.
    ///
    /// An open server allows every origin. Otherwise the origin must be a listed site, another name of one, or the server's own
    /// address if the server has its own pages. Then `page` must be of the origin's site. This keeps other sites out, and stops
    /// one site from adding viewers to another. Programs can send any origin. [`Limits`](crate::Limits) bounds what they can
    /// do.
    ///
    /// # Errors
    /// [`Refusal::OriginMissing`], [`Refusal::OriginHidden`], [`Refusal::OriginRefused`] or [`Refusal::ForeignPage`].
    pub fn check_origin(&self, headers: &HeaderMap, page: &PageId) -> Result<(), Refusal> {
        if self.is_open() {
            return Ok(());
        }
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let origin = text(header::ORIGIN).filter(|origin| !origin.is_empty()).ok_or(Refusal::OriginMissing)?;
        // A proxy may have added the same one.
        let (first, others) = origin.split_once(',').unwrap_or((origin, ""));
        let origin = if others.split(',').all(|other| other.trim() == first) { first } else { origin };
        // No other scheme has sites: `null`, `file://`, and what apps and extensions have.
        let named = origin.split_once("://");
        let named = named.filter(|(scheme, _)| ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web)));
        let (_, host) = named.ok_or_else(|| Refusal::OriginHidden { origin: origin.to_owned() })?;
        let site = spell_site(host).ok().map(|site| self.main_site(&site).map(Cow::into_owned).unwrap_or(site));
        let Some(site) = site.clone().filter(|site| self.lists(site) || self.is_own(headers, site)) else {
            let flag = site.map_or_else(|| "HOST".to_owned(), |site| self.flag_for(&site));
            return Err(Refusal::OriginRefused { origin: origin.to_owned(), flag });
        };
        match page.site() {
            Some(of_page) if of_page != site => Err(Refusal::ForeignPage { origin: site, site: of_page.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Why this site may not use the server.
    pub(crate) fn refusal_of(&self, site: &str) -> Refusal {
        Refusal::SiteNotServed { site: site.to_owned(), flag: self.flag_for(site) }
    }

    /// The value of `--site` that would allow this site. If the site differs from a listed one only by its `www.`, this makes
    /// it another name of that one.
    fn flag_for(&self, site: &str) -> String {
        let other = site.strip_prefix("www.").map_or_else(|| format!("www.{site}"), str::to_owned);
        if self.sites.contains(&other) { format!("{other}={site}") } else { site.to_owned() }
    }

    /// Whether the site is the server's own address, as the request names it, and the server has its own pages. The request is
    /// as trustworthy as the proxy in front of the server.
    pub(crate) fn is_own(&self, headers: &HeaderMap, site: &str) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        self.own_pages && host.and_then(|host| spell_site(host).ok()).is_some_and(|own| own == site)
    }

    /// Whether the request carries the party token.
    #[must_use]
    pub fn has_party_token(&self, headers: &HeaderMap) -> bool {
        match (&self.party_token, credentials(headers, "Bearer")) {
            // The comparison takes constant time. The time of a normal one would show how much of a guess is right.
            (Some(token), Some(sent)) => token.as_bytes().ct_eq(sent).into(),
            _ => false,
        }
    }
}

/// The one spelling of a site from `--site`. A URL can contain some names that no site has, such as `.example.org` or
/// `"example.org"`. They would never match, so they are refused.
fn listed_site(site: &str) -> Result<String, PageIdError> {
    // Word processors make such quotes and dashes of the plain ones.
    let is_typographic = |c| matches!(c, '\u{2010}'..='\u{205e}' | '«' | '»');
    if site.contains(is_typographic) {
        return Err(PageIdError::Host);
    }
    let spelled = spell_site(&without_last_dot(site))?;
    let (name, _) = spelled.rsplit_once(':').filter(|_| !spelled.ends_with(']')).unwrap_or((&spelled, ""));
    let is_label = |label: &str| {
        label.bytes().any(|byte| byte.is_ascii_alphanumeric())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_site = name.starts_with('[') || name.split('.').all(is_label);
    if is_site { Ok(spelled) } else { Err(PageIdError::Host) }
}

/// The site without a dot at the end of its name, such as `example.org:8080` for `example.org.:8080`.
fn without_last_dot(site: &str) -> Cow<'_, str> {
    match (site.strip_suffix('.'), site.rsplit_once(".:")) {
        (Some(name), _) => Cow::from(name),
        (None, Some((name, port))) => Cow::from(format!("{name}:{port}")),
        (None, None) => Cow::from(site),
    }
}

/// The one spelling of a site. Page ids begin with it.
pub(crate) fn spell_site(site: &str) -> Result<String, PageIdError> {
    if site.contains(['/', '?', '#', '*']) {
        return Err(PageIdError::Host);
    }
    let root = PageId::parse(&format!("{site}/"))?;
    root.site().map(str::to_owned).ok_or(PageIdError::Host)
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn access(args: &[&str]) -> Access {
        let command = Settings::augment_args(Command::new("test"));
        let matches = command.get_matches_from([&["test"], args].concat());
        Access::new(&Settings::from_arg_matches(&matches).unwrap(), false).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn origins_of_listed_sites_are_counted_on_their_own_pages_only() {
        let access = access(&["--site", "Example.org", "--site", "localhost:3000"]);
        let check = |pairs: &[_], page| access.check_origin(&headers(pairs), &PageId::parse(page).unwrap());
        check(&[("origin", "https://example.org")], "example.org/a").unwrap();
        check(&[("origin", "http://localhost:3000")], "localhost:3000/").unwrap();
        check(&[("origin", "https://example.org")], "a").unwrap();
        check(&[("origin", "HTTPS://EXAMPLE.ORG")], "example.org/a").unwrap();
        check(&[("origin", "https://example.org, https://example.org")], "example.org/a").unwrap();
        assert!(check(&[("origin", "https://example.org, https://evil.org")], "example.org/a").is_err());
        check(&[("origin", "Http://LocalHost:3000")], "localhost:3000/").unwrap();
        check(&[("origin", "https://live.org"), ("host", "live.org")], "live.org/pages/a").unwrap();
        assert!(matches!(check(&[], "example.org/a"), Err(Refusal::OriginMissing)));
        assert!(matches!(check(&[("origin", "")], "example.org/a"), Err(Refusal::OriginMissing)));
        for origin in ["null", "file://", "javascript://example.org", "chrome-extension://abc", "data:", "example.org"]
        {
            let refused = check(&[("origin", origin)], "example.org/a");
            assert!(matches!(refused, Err(Refusal::OriginHidden { .. })), "{origin}: no flag lets it in");
        }
        assert!(matches!(check(&[("origin", "https://evil.org")], "evil.org/"), Err(Refusal::OriginRefused { .. })));
        assert!(matches!(
            check(&[("origin", "https://example.org.evil.org")], "a"),
            Err(Refusal::OriginRefused { .. })
        ));
        assert!(matches!(
            check(&[("origin", "https://example.org")], "localhost:3000/"),
            Err(Refusal::ForeignPage { .. })
        ));
    }

    #[test]
    fn a_dot_at_the_end_of_a_name_is_ignored_also_before_a_port() {
        for site in ["example.org:8080", "example.org.:8080"] {
            let access = access(&["--site", site]);
            for origin in ["http://example.org:8080", "http://example.org.:8080"] {
                let page = PageId::parse("example.org:8080/a").unwrap();
                access.check_origin(&headers(&[("origin", origin)]), &page).unwrap();
            }
            assert_eq!(access.main_site("example.org.:8080").as_deref(), Some("example.org:8080"));
        }
    }

    #[test]
    fn a_star_lists_all_sub_domains_but_not_the_domain_itself() {
        let access = access(&["--site", "*.Example.org", "--site", "*.local:3000"]);
        let check = |origin: &'static str, page| {
            access.check_origin(&headers(&[("origin", origin)]), &PageId::parse(page).unwrap())
        };
        check("https://shop.example.org", "shop.example.org/a").unwrap();
        check("https://a.b.example.org", "a.b.example.org/a").unwrap();
        check("http://a.local:3000", "a.local:3000/").unwrap();
        assert!(access.serves(Some("shop.example.org")) && !access.serves(Some("example.org")));
        for origin in ["https://example.org", "https://.example.org", "https://evil-example.org", "https://a.local"] {
            assert!(matches!(check(origin, "example.org/a"), Err(Refusal::OriginRefused { .. })), "{origin}");
        }
        // One sub-domain may not be counted as another.
        assert!(matches!(check("https://a.example.org", "b.example.org/"), Err(Refusal::ForeignPage { .. })));
    }

    #[test]
    fn pages_under_other_names_of_a_site_are_pages_of_that_site() {
        let access = access(&["--site", "example.org=www.example.org=m.example.org", "--site", "www.other.org"]);
        let main = |page| access.main_page(&PageId::parse(page).unwrap()).map(|page| page.to_string());
        assert_eq!(main("www.example.org/a?b=1"), Some("example.org/a?b=1".into()));
        assert_eq!(main("m.example.org/"), Some("example.org/".into()));
        assert_eq!(main("example.org/a"), None);
        assert_eq!(main("www.example.org.evil/a"), None);
        let check = |origin: &'static str, page| {
            access.check_origin(&headers(&[("origin", origin)]), &PageId::parse(page).unwrap())
        };
        check("https://www.example.org", "example.org/a").unwrap();
        assert!(matches!(check("https://www.example.org", "www.other.org/"), Err(Refusal::ForeignPage { .. })));
        // The refusal names the flag that allows the site.
        let flag = |origin| check(origin, "a").unwrap_err().to_string();
        assert!(flag("https://other.org").contains("--site www.other.org=other.org"));
        assert!(flag("https://new.org").contains("--site new.org"));
    }

    #[test]
    fn a_dot_at_the_end_of_a_host_is_ignored() {
        for listed in ["Example.org.", "example.org", "*.org."] {
            let access = access(&["--site", listed]);
            for origin in ["https://example.org", "https://example.org.", "http://EXAMPLE.org.:80"] {
                let page = PageId::parse("example.org/a").unwrap();
                access.check_origin(&headers(&[("origin", origin)]), &page).unwrap();
            }
        }
        let main = access(&["--site=example.org=www.example.org"]);
        let main = |page| main.main_page(&PageId::parse(page).unwrap()).map(|page| page.to_string());
        assert_eq!(main("example.org./a"), Some("example.org/a".into()));
        assert_eq!(main("www.example.org./a"), Some("example.org/a".into()));
        access(&["--site", "[::1]:3000", "--site=192.168.1.1:8080", "--site=my_host"]);
    }

    #[test]
    fn the_servers_own_address_is_allowed_only_if_it_has_pages() {
        let own = headers(&[("origin", "https://live.org"), ("host", "live.org")]);
        let page = PageId::parse("live.org/pages/a").unwrap();
        let check = |demo, has_assets| {
            let settings = Settings { sites: vec!["example.org".into()], demo, ..Settings::default() };
            Access::new(&settings, has_assets).unwrap().check_origin(&own, &page)
        };
        assert!(matches!(check(false, false), Err(Refusal::OriginRefused { .. })));
        check(true, false).unwrap();
        check(false, true).unwrap();
    }

    #[test]
    fn an_open_server_accepts_requests_without_an_origin() {
        let access = access(&[]);
        access.check_origin(&headers(&[]), &PageId::parse("example.org/a").unwrap()).unwrap();
        assert!(access.serves(Some("example.org")));
    }

    #[test]
    fn only_the_exact_party_token_is_accepted() {
        let access = access(&["--party-token", "secret"]);
        assert!(access.has_party_token(&headers(&[("authorization", "Bearer secret")])));
        assert!(access.has_party_token(&headers(&[("authorization", "bearer secret")])));
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer ", "secret", "Basic secret"] {
            assert!(!access.has_party_token(&headers(&[("authorization", wrong)])), "{wrong}");
        }
        assert!(!super::tests::access(&[]).has_party_token(&headers(&[("authorization", "Bearer ")])));
    }

    #[test]
    fn sites_that_are_not_hosts_are_refused() {
        for site in ["", "https://example.org", "example.org/blog", "a b", "*", "example.*", "*."] {
            assert!(spell_site(site).is_err(), "{site:?}");
        }
        for site in [
            ".example.org",
            "example..org",
            "\"a.org\"",
            "-",
            "*.a=b",
            "a.org..",
            "a.org=",
            "*.*.a.org",
            "*.127.0.0.1",
            "*.[::1]:80",
        ] {
            let settings = Settings { sites: vec![site.to_owned()], ..Settings::default() };
            assert!(Access::new(&settings, false).is_err(), "{site:?}");
        }
        assert_eq!(spell_site("BÜCHER.example:443").unwrap(), "xn--bcher-kva.example");
    }
}
