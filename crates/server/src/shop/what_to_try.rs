//! What the demo prints when it is up: commands that work as they stand, each showing one thing.

use crate::shop::configuration::Layout;

/// The lines, for a terminal.
pub(crate) fn what_to_try(layout: &Layout) -> String {
    let Layout { listener, admin, .. } = layout;
    let port = listener.port();
    format!(
        r#"  The shop       http://{listener}/
  The console    http://{admin}/
  Its state      http://{admin}/v1/status   and /metrics

What to try:

  # which instance answers? round robin over three; with a cookie jar, always the same
  for i in 1 2 3 4 5 6; do curl -s http://{listener}/whoami | head -c 30; echo; done
  for i in 1 2 3 4 5 6; do curl -s -b /tmp/shop.jar -c /tmp/shop.jar http://{listener}/whoami | head -c 30; echo; done

  # what an instance sees of a request
  curl -s http://{listener}/whoami

  # the new version, by header and by query
  curl -s -H 'X-Version: v2' http://{listener}/whoami
  curl -s 'http://{listener}/whoami?version=v2'

  # a maintenance page, a redirect and where it leads (a browser: http://old.shop.localhost:{port}/)
  curl -si -H 'Host: old.shop.localhost' http://{listener}/
  curl -si 'http://{listener}/blog/first-harvest?page=2'
  curl -si -H 'Host: journal.shop.localhost' http://{listener}/from/blog/first-harvest

  # one checkout in ten goes to the new version (look at X-Shop-Version); then give it more, in the console:
  # http://{admin}/console/#/load-balancers/shop/listeners/http
  for i in $(seq 20); do curl -s -o /dev/null -D - http://{listener}/checkout | grep -i x-shop-version; done

  # order something, then read it back from any instance
  curl -s -b /tmp/shop.jar -c /tmp/shop.jar -H 'Content-Type: application/json' -H 'Idempotency-Key: first' \
    -d '{{"name":"Ada","email":"ada@example.com","address":"1 Mill Lane","items":[{{"product":"kettle","quantity":1}}]}}' \
    http://{listener}/api/orders
  curl -s -b /tmp/shop.jar -c /tmp/shop.jar http://{listener}/api/orders

  # a stream, a slow answer, a failure
  curl -sN http://{listener}/stream
  curl -s 'http://{listener}/slow?ms=3000'
  curl -si 'http://{listener}/fail?status=503'

  # stop an instance in the middle of it all: nothing fails, and its state shows in /v1/status
  kill $(curl -s http://{listener}/whoami | sed 's/.*"pid":\([0-9]*\).*/\1/')

  # a WebSocket, in a browser: http://{listener}/live
"#
    )
}
