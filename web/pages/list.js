/**
 * Makes the children of an element show the entries of a map, in its order. Children that stay are not
 * moved, so they keep the focus.
 * @template One
 * @param {Element} element
 * @param {Map<string, One>} entries
 * @param {(key: string, one: One) => Element} create
 * @param {(item: Element, one: One, key: string) => void} update
 */
export function list(element, entries, create, update) {
  const items = new Map(Array.from(element.children, (item) => [item.dataset.key, item]));
  for (const [key, item] of items) {
    if (!entries.has(key)) item.remove();
  }
  let next = element.firstElementChild;
  for (const [key, one] of entries) {
    let item = items.get(key);
    if (item && item === next) {
      next = next.nextElementSibling;
    } else {
      item ??= create(key, one);
      item.dataset.key = key;
      element.insertBefore(item, next);
    }
    update(item, one, key);
  }
}
