//! One signature after another.

use super::OfficeConfig;
use super::bounds::Bounds;
use super::document::Document;
use super::key::Key;
use super::ledger::{Ledger, Signed};
use crate::doors::hex;
use plimsoll_engine::live::Reject;
use plimsoll_feeds::signed::Domain;
use plimsoll_types::Timestamp;

/// Key, bounds and ledger together.
#[derive(Debug)]
pub struct Signer {
    key: Key,
    bounds: Bounds,
    ledger: Ledger,
    domain: Domain,
}

impl Signer {
    /// Opens what a configuration names.
    ///
    /// # Errors
    /// A key, bounds or a ledger that cannot be used, by its file.
    pub fn open(config: &OfficeConfig) -> anyhow::Result<Self> {
        let (key, bounds) = (Key::read(&config.key)?, Bounds::read(&config.bounds)?);
        let whose = (config.identity.as_str(), config.chain);
        let ledger = Ledger::open(&config.ledger, key.address(), whose)?;
        Ok(Self { key, bounds, ledger, domain: config.chain.domain(&config.identity) })
    }

    /// The account that signs.
    pub fn address(&self) -> plimsoll_feeds::evm::Address {
        self.key.address()
    }

    /// What was signed last.
    pub fn last(&self) -> Option<&Signed> {
        self.ledger.kept.last.as_ref()
    }

    /// Signs a document, or says why not. The last one is signed again as it was; another of its number never is.
    ///
    /// # Errors
    /// When it cannot be written down: nothing more may be signed then.
    pub fn sign(&mut self, document: Document, now: Timestamp) -> anyhow::Result<Result<Signed, Reject>> {
        if let Some(last) = self.last().filter(|last| last.document.sequence == document.sequence) {
            if last.document == document {
                return Ok(Ok(last.clone()));
            }
            let detail = format!("another document of {} was signed", document.sequence);
            return Ok(Err(Reject::new("equivocation", detail)));
        }
        if let Err(refused) = self.bounds.check(&document, &self.ledger.kept, now) {
            return Ok(Err(refused));
        }
        let signature = format!("0x{}", hex(&self.key.sign(&document.hash(&self.domain))?));
        let signed = Signed { document, signer: self.key.address(), signature };
        let next = self.ledger.kept.after(signed.clone(), now, &self.bounds);
        // On disk before anybody is told.
        self.ledger.keep(next)?;
        Ok(Ok(signed))
    }
}
