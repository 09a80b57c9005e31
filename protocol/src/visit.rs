//! The table of parameters that belong to one visit: where the reader came from, or their session. They do not change what a
//! page shows, so they do not tell pages apart.
//!
//! It is used for parameters of the query (`?gclid=…`) and of path segments (`;jsessionid=…`). Upper and lower case are the
//! same. We compared the lists of ClearURLs, Brave, Firefox and AdGuard in November 2026. A comment above each group names the
//! programs that add these parameters.

use crate::page_id::name;
use crate::percent::parts;

/// Names, each followed by a blank. The last character of a name can have a meaning:
///
/// | at the end | meaning |
/// |---|---|
/// | `*` | every name that begins so |
/// | `#` | only if the value is not a number: `trk=12` may be the number of a song |
/// | `?` | only if the value looks like a session ([`is_token`]): `sid=9f86d081884c7d65`, but not `sid=12` or `s=shoes` |
// It is one text instead of a list, because every entry of a list adds eight bytes to the widget.
const OF_VISIT: &str = concat!(
    // Our own parameter for debugging.
    "viewers-debug ",
    // Google Analytics and Ads (support.google.com/analytics/answer/10917952, developers.google.com/google-ads), and its search.
    "utm_* gclid gclsrc dclid gbraid wbraid gad_* srsltid _ga _ga_* _gac_* _gl ved ",
    // Campaign parameters of other analytics: Matomo, Piano (AT Internet), Adobe, Mapp, Baidu, Openstat.
    "mtm_* matomo_* piwik_* pk_c* pk_k* pk_source pk_medium at_campaign at_medium at_custom* xtor s_cid s_kwcid ef_id wt_mc* wt.mc_id hmsr _openstat ",
    "itm_* cmpid sc_c* ",
    // Social networks: Meta, X, LinkedIn, TikTok, Pinterest, Snapchat, Reddit.
    "fbclid fb_* mibextid igsh* twclid ref_src li_fat_id lipi ttclid epik sccid rdt_cid ",
    // Other search engines and advertising: Microsoft, Yandex and its market, Seznam, Baidu, Taboola, Outbrain, Quora, Nextdoor.
    "msclkid yclid ysclid ymclid sznclid bd_vid tblci dicbo obclid qclid ndclid ",
    // Affiliates: Impact, CJ, Awin, Tradedoubler, ShareASale, Wicked Reports, Branch, Alibaba, Rakuten.
    "irclickid irgwc cjevent cjdata awc tduid sscid wicked* _branch_* spm ransiteid ranmid raneaid ",
    // What was searched for in Shopify's shops before, and where it stood.
    "_pos _psq _sid _ss ",
    // Newsletters: Mailchimp, HubSpot, Marketo, Vero, Kit, MailerLite, Klaviyo, Drip, Blueshift, Omeda, Salesforce, Eloqua,
    // Listrak, dotdigital, Acoustic, ActiveCampaign, Emarsys, beehiiv, Omnisend, Iterable, Customer.io.
    "mc_* _hs* __hs* hscta* hsa_* mkt_tok vero_* ck_sub* ",
    "ml_sub* _kx _ke __s bsft_* oly_* sfmc_* elq* trk_* dm_i spmailingid spuserid spjobid spreportid vgo_ee ",
    "sc_src sc_lid sc_uid sc_llid sc_eh _bhlid omnisend* iterable* cio_id ",
    // Bot checks of Cloudflare. WordPress: its clock, its tokens, the comment that is answered.
    "__cf_chl_* doing_wp_cron _wpnonce replytocom ",
    // Shared links of YouTube and Spotify, clicks on LinkedIn.
    "si# trk# ",
    // Sessions of PHP, Java, ASP, ColdFusion, Moodle, osCommerce, xt:Commerce, Zen Cart.
    "phpsessid jsessionid aspsessionid* cfid cftoken moodlesession* oscsid xtcsid zenid ",
    // Sessions of phpBB and vBulletin, and common names in other programs.
    "sid? s? sess? sessid? session? session_id? sessionid?",
);

/// Bytes of the shortest session. A shorter value may be what someone searches for, such as `s=iphone15` in WordPress.
const SHORTEST_TOKEN_BYTES: usize = 10;

/// Whether a parameter, `name` or `name=value`, belongs to the visit.
pub(crate) fn is_of_visit(parameter: &[u8]) -> bool {
    let name = name(parameter);
    let value = parameter.get(name.len() + 1..).unwrap_or_default();
    parts(OF_VISIT.as_bytes(), b' ').any(|word| {
        let [listed @ .., last] = word else { return false };
        let begins = name.get(..listed.len()).is_some_and(|start| start.eq_ignore_ascii_case(listed));
        let rest = name.get(listed.len()..).unwrap_or_default();
        begins
            && match last {
                b'*' => true,
                b'#' => rest.is_empty() && !value.iter().all(u8::is_ascii_digit),
                b'?' => rest.is_empty() && is_token(value),
                last => matches!(rest, [one] if one.eq_ignore_ascii_case(last)),
            }
    })
}

/// Whether a value looks random: it is long, has letters and digits, and nothing that separates words.
fn is_token(value: &[u8]) -> bool {
    value.len() >= SHORTEST_TOKEN_BYTES
        && value.iter().all(u8::is_ascii_alphanumeric)
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_alphabetic)
}
