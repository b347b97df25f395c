//! From the rows of a file to one whole: products to commodities, prices and arrays to their scales, spreads in order.

use super::period::SpanPeriod;
use super::row::scaled;
use super::{
    SpanCommodityRules, SpanCreditRule, SpanFault, SpanFile, SpanFileError, SpanFormat, SpanKind,
    SpanLegPlace, SpanMultiple, SpanProduct, SpanScanPoint,
};
use plimsoll_types::Decimal;
use std::collections::BTreeMap;

/// Exchange, code and kind of a product.
pub(super) type ProductKey = (String, String, SpanKind);

/// How the arrays of a product become money of a commodity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ArrayLink {
    pub(super) commodity: usize,
    pub(super) exponent: i32,
    pub(super) futures_style: bool,
    /// Factor on deltas.
    pub(super) scaling: Option<Decimal>,
}

/// Decimals of prices and strikes of a product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PriceLocators {
    pub(super) price: i32,
    pub(super) strike: i32,
}

/// A file under way.
pub(super) struct Draft {
    pub(super) file: SpanFile,
    keys: BTreeMap<ProductKey, usize>,
    codes: BTreeMap<String, usize>,
    /// Line and byte each product was named at first.
    places: Vec<(u64, u64)>,
    /// Per product; `.pa2` only.
    pub(super) locators: Vec<Option<PriceLocators>>,
    /// Per commodity: the power of ten of its rates.
    pub(super) exponents: Vec<i32>,
    pub(super) links: BTreeMap<ProductKey, ArrayLink>,
    /// Factors on deltas by product, futures month and option month.
    pub(super) scalings: BTreeMap<(usize, Option<SpanPeriod>, Option<SpanPeriod>), Decimal>,
    /// Multiple and cover fraction of the extreme scenarios of a `.pa2`.
    pub(super) extremes: Option<(Decimal, Decimal)>,
    /// Price and strike per contract without their decimals; `.pa2` only.
    pub(super) raw: Vec<(Option<i64>, Option<i64>)>,
    credit_places: Vec<(u64, u64)>,
}

impl Draft {
    pub(super) fn new(format: SpanFormat, width: usize) -> Self {
        let file = SpanFile {
            format,
            date: String::new(),
            settlement: None,
            maintenance: None,
            currencies: Vec::new(),
            scan_points: Vec::new(),
            delta_points: Vec::new(),
            levels: Vec::new(),
            products: Vec::new(),
            contracts: Vec::new(),
            losses: Vec::new(),
            width,
            commodities: Vec::new(),
            credits: Vec::new(),
            skipped: 0,
        };
        Self {
            file,
            keys: BTreeMap::new(),
            codes: BTreeMap::new(),
            places: Vec::new(),
            locators: Vec::new(),
            exponents: Vec::new(),
            links: BTreeMap::new(),
            scalings: BTreeMap::new(),
            extremes: None,
            raw: Vec::new(),
            credit_places: Vec::new(),
        }
    }

    /// The index of a product, which is added where it is new.
    pub(super) fn product(
        &mut self,
        (exchange, code, kind): (&str, &str, SpanKind),
        at: (u64, u64),
    ) -> usize {
        let key = (exchange.to_owned(), code.to_owned(), kind);
        if let Some(known) = self.keys.get(&key) {
            return *known;
        }
        let index = self.file.products.len();
        self.file.products.push(SpanProduct {
            exchange: exchange.to_owned(),
            code: code.to_owned(),
            kind,
            currency: None,
            cvf: None,
            futures_style: false,
            commodity: None,
            delta_scaling: None,
        });
        self.places.push(at);
        self.locators.push(None);
        self.keys.insert(key, index);
        index
    }

    pub(super) fn commodity(&self, code: &str) -> Option<usize> {
        self.codes.get(code).copied()
    }

    pub(super) fn add_commodity(&mut self, rules: SpanCommodityRules) -> usize {
        let index = self.file.commodities.len();
        self.codes.insert(rules.code.clone(), index);
        self.file.commodities.push(rules);
        self.exponents.push(0);
        index
    }

    pub(super) fn add_credit(&mut self, credit: SpanCreditRule, at: (u64, u64)) {
        self.file.credits.push(credit);
        self.credit_places.push(at);
    }

    fn fault(&self, product: usize, field: &str, found: &str, fault: SpanFault) -> SpanFileError {
        let (line, byte) = self.places.get(product).copied().unwrap_or((0, 0));
        SpanFileError::at(line, byte, "P ", fault).field(field, found)
    }
}

/// Resolves what refers to each other and puts rules in order.
pub(super) fn finish(mut draft: Draft) -> Result<SpanFile, SpanFileError> {
    link_products(&mut draft);
    let positional = draft.file.format != SpanFormat::Xml;
    if positional {
        scale_contracts(&mut draft)?;
        draft.file.scan_points = positional_points(draft.extremes);
    }
    whole_commodities(&mut draft);
    check_rules(&draft)?;
    let mut file = draft.file;
    for rules in &mut file.commodities {
        rules.spreads.sort_by_key(|spread| (!spread.series, spread.priority));
        rules.delivery.sort_by_key(|month| month.period);
    }
    // Groups keep the order of their first spread, as the file has it.
    let mut groups: Vec<String> = Vec::new();
    for credit in &file.credits {
        if !groups.contains(&credit.group) {
            groups.push(credit.group.clone());
        }
    }
    let place = |credit: &SpanCreditRule| groups.iter().position(|group| *group == credit.group);
    file.credits.sort_by_key(|credit| (place(credit), credit.priority));
    Ok(file)
}

fn link_products(draft: &mut Draft) {
    let exponent: Vec<Option<ArrayLink>> = draft
        .file
        .products
        .iter()
        .map(|p| draft.links.get(&(p.exchange.clone(), p.code.clone(), p.kind)).copied())
        .collect();
    for (product, link) in draft.file.products.iter_mut().zip(&exponent) {
        let Some(link) = link else { continue };
        product.commodity = Some(link.commodity);
        product.futures_style |= link.futures_style && product.kind.is_option();
        product.delta_scaling = product.delta_scaling.or(link.scaling);
    }
    for contract in &mut draft.file.contracts {
        if let Some(Some(link)) = exponent.get(contract.product) {
            contract.exponent += link.exponent;
        }
    }
}

/// Prices, strikes and delta factors of a `.pa2`, whose records may stand after the arrays.
fn scale_contracts(draft: &mut Draft) -> Result<(), SpanFileError> {
    let mut contracts = std::mem::take(&mut draft.file.contracts);
    for (contract, (price, strike)) in contracts.iter_mut().zip(&draft.raw) {
        let product = contract.product;
        let locators = draft.locators.get(product).copied().flatten();
        let Some(locators) = locators else {
            let code = draft.file.products.get(product).map_or("", |p| p.code.as_str());
            let fault = SpanFault::Unknown("the products of type P");
            return Err(draft.fault(product, "product", code, fault));
        };
        let value = |field: &str, raw: Option<i64>, locator: i32| {
            let fault = |n: i64| draft.fault(product, field, &n.to_string(), SpanFault::Overflow);
            raw.map(|n| scaled(n, -locator).ok_or_else(|| fault(n))).transpose()
        };
        contract.price = value("settlement price", *price, locators.price)?;
        contract.strike = value("strike", *strike, locators.strike)?;
        let (future, option) = match contract.right {
            Some(_) => (contract.underlying, contract.period),
            None => (contract.period, None),
        };
        contract.delta_scaling = draft.scalings.get(&(product, future, option)).copied();
    }
    draft.file.contracts = contracts;
    Ok(())
}

/// The scenarios of a positional file, which states the extremes and leaves the rest to the format (methods 2.1).
fn positional_points(extremes: Option<(Decimal, Decimal)>) -> Vec<SpanScanPoint> {
    let full = (0..14_usize).map(|at| {
        let size = [0, 1, -1, 2, -2, 3, -3][at / 2];
        let vol = SpanMultiple::thirds(if at % 2 == 0 { 3 } else { -3 });
        SpanScanPoint {
            pair: at ^ 1,
            weight: Some(Decimal::ONE),
            price: Some(SpanMultiple::thirds(size)),
            vol: Some(vol),
        }
    });
    let far = [Decimal::ONE, -Decimal::ONE].into_iter().enumerate().map(|(at, sign)| SpanScanPoint {
        pair: 14 + at,
        weight: extremes.map(|(_, cover)| cover),
        price: extremes.map(|(mult, _)| SpanMultiple { mult, numerator: sign, denominator: Decimal::ONE }),
        vol: Some(SpanMultiple::thirds(0)),
    });
    full.chain(far).collect()
}

/// Tier 1 of a commodity that has no tiers is all of it.
fn whole_commodities(draft: &mut Draft) {
    for leg in draft.file.credits.iter_mut().flat_map(|credit| &mut credit.legs) {
        let rules = draft.codes.get(&leg.commodity).and_then(|at| draft.file.commodities.get(*at));
        if leg.tier == Some(1) && rules.is_some_and(|rules| rules.credit_tiers.is_empty()) {
            leg.tier = None;
        }
    }
}

/// Every commodity of a spread and every tier of a leg must be there.
fn check_rules(draft: &Draft) -> Result<(), SpanFileError> {
    for (credit, (line, byte)) in draft.file.credits.iter().zip(&draft.credit_places) {
        for leg in credit.legs.iter().filter(|_| !credit.scanning) {
            let fault = |field: &str, found: &str, among| {
                SpanFileError::at(*line, *byte, "inter-commodity spread", SpanFault::Unknown(among))
                    .field(field, found)
            };
            let Some(at) = draft.commodity(&leg.commodity) else {
                return Err(fault("leg", &leg.commodity, "the combined commodities"));
            };
            let mut same = credit.legs.iter().filter(|other| other.commodity == leg.commodity);
            if same.any(|other| other.tier.is_some() != leg.tier.is_some()) {
                let fault = SpanFault::Malformed("all of a commodity or tiers of it, not both");
                let error = SpanFileError::at(*line, *byte, "inter-commodity spread", fault);
                return Err(error.field("leg tier", &leg.commodity));
            }
            let tiers = &draft.file.commodities[at].credit_tiers;
            if let Some(tier) = leg.tier
                && !tiers.iter().any(|known| known.number == tier)
            {
                return Err(fault("leg tier", &tier.to_string(), "the tiers of its commodity"));
            }
        }
    }
    for rules in &draft.file.commodities {
        let legs = rules.spreads.iter().flat_map(|spread| &spread.legs);
        let lost = |place: &SpanLegPlace| match place {
            SpanLegPlace::Tier(n) => *n != 0 && !rules.month_tiers.iter().any(|t| t.number == *n),
            SpanLegPlace::Month(_) => false,
        };
        if let Some(leg) = legs.map(|leg| &leg.place).find(|place| lost(place)) {
            let fault = SpanFault::Unknown("the tiers of its commodity");
            let found = format!("{leg:?}");
            return Err(SpanFileError::at(0, 0, &rules.code, fault).field("tier of a spread", &found));
        }
    }
    Ok(())
}
