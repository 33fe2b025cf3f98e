//! A pool of connections: so many at most, the last one given back is the next one taken.

use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Connections that nobody uses at the moment, and a place for each that may be open.
#[derive(Debug)]
pub struct Pool<C> {
    places: Semaphore,
    idle: Mutex<Vec<C>>,
}

/// A connection in use, and its place.
#[derive(Debug)]
pub struct Taken<'a, C> {
    /// `None`: open one.
    pub connection: Option<C>,
    pool: &'a Pool<C>,
    _place: SemaphorePermit<'a>,
}

impl<C> Pool<C> {
    /// No connection yet, and places for so many.
    pub fn new(connections_max: usize) -> Self {
        Self { places: Semaphore::new(connections_max), idle: Mutex::new(Vec::new()) }
    }

    /// Waits for a place; a connection comes with it where one is idle.
    pub async fn take(&self) -> Taken<'_, C> {
        let place = self.places.acquire().await.expect("this semaphore is never closed");
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Taken { connection, pool: self, _place: place }
    }
}

impl<C> Taken<'_, C> {
    /// Gives a sound connection back. One that is dropped instead is closed.
    pub fn give_back(self, connection: C) {
        // The place is free only afterwards, so no more are open than there are places.
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
