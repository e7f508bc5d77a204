//! The shop as its visitors and its load balancer meet it.

mod api;
mod browser;
mod configuration;
mod house;
mod live;
mod orders;
mod pages;
