// What the scripts of all sections make elements with.
"use strict";
const dom = {
  make(name, attributes = {}, parent = null, text = null) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  },
  element(name, text, parent) {
    const node = document.createElement(name);
    node.textContent = text;
    parent.append(node);
    return node;
  },
};
