//! Which accounts have changed since somebody looked: numbers that rise with every change of positions.

use super::spans::reserve;
use std::sync::atomic::{AtomicU64, Ordering};

/// Accounts whose last change is also known in common.
pub(super) const BLOCK: usize = 1024;

/// A number that no other value has in this process, not even a copy: what was derived from one book is never taken for
/// another's. It stands for nothing and reaches no result.
#[derive(Debug)]
pub(super) struct Identity(u64);

impl Identity {
    pub(super) fn get(&self) -> u64 {
        self.0
    }
}

impl Default for Identity {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Changes counted, and the count at the last one of each account and of each block of accounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits {
    count: u64,
    accounts: Vec<u64>,
    blocks: Vec<u64>,
}

impl Edits {
    pub(super) fn with_capacity(accounts: usize) -> Self {
        let blocks = Vec::with_capacity(accounts.div_ceil(BLOCK));
        Self { count: 0, accounts: Vec::with_capacity(accounts), blocks }
    }

    /// The positions of an account have changed, or it is new.
    pub(super) fn note(&mut self, account: usize) {
        self.count += 1;
        if self.accounts.len() <= account {
            let more = account + 1 - self.accounts.len();
            reserve(&mut self.accounts, more);
            self.accounts.resize(account + 1, self.count);
            self.blocks.resize(account / BLOCK + 1, self.count);
        }
        self.accounts[account] = self.count;
        self.blocks[account / BLOCK] = self.count;
    }

    pub(super) fn account(&self, account: usize) -> u64 {
        self.accounts.get(account).copied().unwrap_or(0)
    }

    pub(super) fn block(&self, block: usize) -> u64 {
        self.blocks.get(block).copied().unwrap_or(0)
    }

    pub(super) fn bytes(&self) -> usize {
        (self.accounts.capacity() + self.blocks.capacity()) * size_of::<u64>()
    }
}
