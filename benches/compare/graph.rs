//! Orders with their items, and tags.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
};

use entities::{customer_order, order_item, tag};
use sea_orm::{ActiveValue::Set, prelude::Uuid};

const ORDERS: usize = 100;
const ITEMS_PER_ORDER: usize = 5;
const TAGS: usize = 20;

/// 100 orders of a user with 5 items each, and 20 tags, of which none was inserted before.
#[derive(Debug, Clone)]
pub(crate) struct NewGraph {
    pub(crate) user_id: i64,
    pub(crate) orders: Vec<NewOrder>,
    pub(crate) tags: Vec<NewTag>,
}

#[derive(Debug, Clone)]
pub(crate) struct NewOrder {
    pub(crate) number: String,
    pub(crate) skus: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct NewTag {
    pub(crate) id: Uuid,
    pub(crate) name: String,
}

/// The rows as they were written, in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) orders: Vec<customer_order::Model>,
    /// Those of the first order, then those of the second.
    pub(crate) items: Vec<order_item::Model>,
    pub(crate) tags: Vec<tag::Model>,
}

impl NewGraph {
    pub(crate) fn of_user(user_id: i64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let graph = NEXT.fetch_add(1, Ordering::Relaxed);
        let order = |order| NewOrder {
            number: format!("{graph}-{order}"),
            skus: (0..ITEMS_PER_ORDER).map(|item| format!("sku-{item}")).collect(),
        };
        let tag = |tag| NewTag {
            id: Uuid::from_u128(u128::from(graph) << 64 | tag as u128),
            name: format!("tag-{graph}-{tag}"),
        };
        Self { user_id, orders: (0..ORDERS).map(order).collect(), tags: (0..TAGS).map(tag).collect() }
    }

    /// Whether `written` is this graph, each item with its own order.
    pub(crate) fn fits(&self, written: &Graph) -> bool {
        let orders = self.orders.iter().zip(&written.orders);
        let mut orders_fit =
            orders.clone().map(|(new, order)| new.number == order.number && order.user_id == self.user_id);
        let items = orders.flat_map(|(new, order)| new.skus.iter().map(|sku| (order.id, sku)));
        let mut items_fit =
            items.zip(&written.items).map(|((order, sku), item)| (item.order_id, &item.sku) == (order, sku));
        let mut tags_fit =
            self.tags.iter().zip(&written.tags).map(|(new, tag)| (new.id, &new.name) == (tag.id, &tag.name));
        let ids: HashSet<i64> = written.items.iter().map(|item| item.id).collect();
        (written.orders.len(), ids.len(), written.tags.len()) == (ORDERS, ORDERS * ITEMS_PER_ORDER, TAGS)
            && orders_fit.all(|fits| fits)
            && items_fit.all(|fits| fits)
            && tags_fit.all(|fits| fits)
    }
}

pub(crate) fn order(user_id: i64, number: String) -> customer_order::ActiveModel {
    customer_order::ActiveModel { user_id: Set(user_id), number: Set(number), ..Default::default() }
}

pub(crate) fn item(order_id: i64, sku: String) -> order_item::ActiveModel {
    order_item::ActiveModel {
        order_id: Set(order_id),
        sku: Set(sku),
        quantity: Set(1),
        unit_price: Set(250),
        ..Default::default()
    }
}

pub(crate) fn tag(new: NewTag) -> tag::ActiveModel {
    tag::ActiveModel { id: Set(new.id), name: Set(new.name) }
}
