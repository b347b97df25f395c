//! One account's report as JSON: exact decimals first, then everything the margin stage said, in ticks.

use super::loaded::Loaded;
use plimsoll_margin::MarginReport;
use plimsoll_margin::venue::VenueCharge;
use plimsoll_types::{Decimal, Ticks};
use serde::Serialize;

/// An account as programs read it. Amounts are decimals in text; `report` holds every number behind them as integer
/// ticks, with `ticks_per_unit` of them to the currency unit.
#[derive(Serialize, Debug)]
pub(super) struct AccountJson<'a> {
    pub account: &'a str,
    pub state: plimsoll_margin::State,
    pub equity: Decimal,
    pub im: Decimal,
    pub mm: Decimal,
    pub im_excess: Decimal,
    pub mm_excess: Decimal,
    pub scan_loss: Decimal,
    pub addons: Decimal,
    pub netting_benefit: Decimal,
    /// What a venue's method charges, part by part; left out under other methods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub venue: Vec<VenueChargeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<String>,
    pub report: &'a MarginReport,
}

/// One charge of a venue's method; a credit is negative.
#[derive(Serialize, Debug)]
pub(super) struct VenueChargeJson<'a> {
    pub code: &'a str,
    pub asset: Option<String>,
    pub im: Decimal,
    pub mm: Decimal,
}

/// The charges of initial margin together.
pub(super) fn addons(report: &MarginReport) -> Ticks {
    Ticks(report.addons.iter().map(|addon| addon.im.0).sum())
}

impl<'a> AccountJson<'a> {
    /// The JSON form of a report.
    pub(super) fn new(loaded: &Loaded, report: &'a MarginReport, explain: Option<String>) -> Self {
        let amount = |ticks| loaded.amount(ticks);
        let charge = |charge: &'a VenueCharge| VenueChargeJson {
            code: &charge.code,
            asset: charge.asset.as_ref().map(ToString::to_string),
            im: amount(charge.im),
            mm: amount(charge.mm),
        };
        Self {
            account: report.account.as_str(),
            state: report.state,
            equity: amount(report.equity),
            im: amount(report.im),
            mm: amount(report.mm),
            im_excess: amount(report.im_excess),
            mm_excess: amount(report.mm_excess),
            scan_loss: amount(report.im_detail.sum),
            addons: amount(addons(report)),
            netting_benefit: amount(report.netting_benefit),
            venue: report.venue.iter().map(charge).collect(),
            explain,
            report,
        }
    }
}
