//! Orders at rest. Its calls leave the async threads alone: SQLite waits on a thread for blocking work.
//!
//! An order belongs to the visitor who placed it; nobody else can read it.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::shop::customer::Customer;
use crate::shop::database::Database;
use crate::shop::error::StoreError;
use crate::shop::money::Quantity;
use crate::shop::order::{Order, OrderDraft, OrderLine, Price};

/// Work on the database at one time; the rest waits in line, in order.
const AT_ONCE: usize = 4;

/// The newest orders that a list shows.
const LISTED: u32 = 50;

const COLUMNS: &str = "id, strftime('%Y-%m-%dT%H:%M:%SZ', placed_at, 'unixepoch'), placed_by, name, email, address, \
                       goods, shipping, total";

/// The orders.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Arc<Database>,
    turns: Arc<Semaphore>,
}

impl Store {
    /// Opens the database of a data folder.
    ///
    /// # Errors
    ///
    /// When SQLite cannot.
    pub(crate) async fn open(folder: PathBuf) -> Result<Self, StoreError> {
        let database = spawn_blocking(move || Database::open(&folder)).await??;
        Ok(Self { database: Arc::new(database), turns: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        self.run(|connection| {
            connection.query_row("SELECT count(*) FROM (SELECT 1 FROM orders LIMIT 1)", [], |_| Ok(()))
        })
        .await
    }

    /// Places an order and returns its number; the number of the first one if it was submitted before.
    ///
    /// # Errors
    ///
    /// When the database does not answer; nothing is placed then.
    pub(crate) async fn place(&self, draft: OrderDraft) -> Result<i64, StoreError> {
        self.run(move |connection| place(connection, &draft)).await
    }

    /// A visitor's order.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub(crate) async fn order(&self, visitor: &str, id: i64) -> Result<Option<Order>, StoreError> {
        let visitor = visitor.to_owned();
        self.run(move |connection| {
            let query = format!("SELECT {COLUMNS} FROM orders WHERE visitor = ? AND id = ?");
            let order = connection.prepare_cached(&query)?.query_row(params![visitor, id], order).optional()?;
            order.map(|order| with_lines(connection, order)).transpose()
        })
        .await
    }

    /// A visitor's newest orders, the newest first.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub(crate) async fn orders(&self, visitor: &str) -> Result<Vec<Order>, StoreError> {
        let visitor = visitor.to_owned();
        self.run(move |connection| {
            let query = format!("SELECT {COLUMNS} FROM orders WHERE visitor = ? ORDER BY id DESC LIMIT ?");
            let orders: Vec<Order> = connection
                .prepare_cached(&query)?
                .query_map(params![visitor, LISTED], order)?
                .collect::<rusqlite::Result<_>>()?;
            orders.into_iter().map(|order| with_lines(connection, order)).collect()
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await?;
        let database = Arc::clone(&self.database);
        let result = spawn_blocking(move || {
            let _turn = turn;
            database.with(work)
        })
        .await??;
        Ok(result)
    }
}

fn place(connection: &mut Connection, draft: &OrderDraft) -> rusqlite::Result<i64> {
    // Immediate: a reader that becomes a writer is not waited for by SQLite.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let placed = transaction
        .query_row(
            "SELECT id FROM orders WHERE visitor = ? AND submission = ?",
            params![draft.visitor, draft.submission.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = placed {
        return Ok(id);
    }
    transaction.execute(
        "INSERT INTO orders (visitor, submission, placed_by, name, email, address, goods, shipping, total)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            draft.visitor,
            draft.submission.as_str(),
            draft.placed_by,
            draft.customer.name,
            draft.customer.email,
            draft.customer.address,
            draft.price.goods,
            draft.price.shipping,
            draft.price.total
        ],
    )?;
    let id = transaction.last_insert_rowid();
    for (place, line) in (0_i64..).zip(&draft.lines) {
        transaction.execute(
            "INSERT INTO order_lines (order_id, place, product, name, quantity, price) VALUES (?, ?, ?, ?, ?, ?)",
            params![id, place, line.product, line.name, line.quantity.count(), line.price],
        )?;
    }
    transaction.commit()?;
    Ok(id)
}

fn order(row: &Row<'_>) -> rusqlite::Result<Order> {
    Ok(Order {
        id: row.get(0)?,
        placed_at: row.get(1)?,
        placed_by: row.get(2)?,
        customer: Customer { name: row.get(3)?, email: row.get(4)?, address: row.get(5)? },
        lines: Vec::new(),
        price: Price { goods: row.get(6)?, shipping: row.get(7)?, total: row.get(8)? },
    })
}

fn with_lines(connection: &Connection, order: Order) -> rusqlite::Result<Order> {
    let lines = connection
        .prepare_cached("SELECT product, name, quantity, price FROM order_lines WHERE order_id = ? ORDER BY place")?
        .query_map([order.id], |row| {
            Ok(OrderLine {
                product: row.get(0)?,
                name: row.get(1)?,
                quantity: Quantity::try_from(row.get::<_, u8>(2)?).map_err(|fault| {
                    rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Integer, Box::new(fault))
                })?,
                price: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Order { lines, ..order })
}
