// What is seen of boxes in boxes: what opens or closes is drawn anew, what is around it only moves, and all else is left alone.
const narrow = () => innerWidth <= 560;
const isNested = () => !!view().nested;
// Numbers that stay: of every node and edge of every level, whatever is open.
function number(v) {
  v.where = []; v.facts = []; v.from = {}; v.parent = {}; v.firstEdge = {};
  let edges = 0;
  for (const path in v.levels) {
    const L = v.levels[path];
    v.from[path] = v.where.length; v.firstEdge[path] = edges;
    L.n.forEach((n, k) => { v.where.push([path, k]); v.facts.push(L.i[k]); if (n[4]) v.parent[n[4]] = [path, k]; });
    L.e.forEach((e, j) => v.where[`e${edges++}`] = [path, j]);
  }
}
const ways = (v, path) => { const found = []; for (let p = path; p; p = v.parent[p][0]) found.push(p); return found; };  // it and what is around it
// The element of a node or an edge, where it is seen.
function seenOf(v, kind, k) {
  const [path, i] = v.where[kind === 'node' ? k : `e${k}`] || [], drawn = v.drawn.get(path);
  return drawn && (kind === 'node' ? drawn.items[i].open ? null : drawn.items[i].element : drawn.edges[i].element);
}
function parsed(markup) {
  const g = document.createElementNS(SVG, 'g');
  g.innerHTML = markup;
  return [...g.children];
}
// Draws what has changed. ``moves`` is told each element that was there before and goes from one place to another, and what is new.
function build(k, moves) {
  const v = data.views[k], svg = all('.view')[k].querySelector('.stage > svg'), opened = new Set(v.opened);
  if (v.slim !== narrow()) { v.slim = narrow(); v.places = new Map(); v.drawn = new Map(); svg.innerHTML = '<rect class="paper" x="-40" y="-40"/><g class="inside"></g>'; number(v); v.was = opened; }
  for (const path of [...opened, ...v.was]) if (opened.has(path) !== v.was.has(path)) { ways(v, path).forEach(p => v.places.delete(p)); v.places.delete(''); }
  v.was = opened;
  v.placed = put(v, '', v.slim ? 1 : 0);
  svg.parentNode.classList.toggle('tall', v.placed.h > v.placed.w);
  const sheet = svg.querySelector('.paper');
  sheet.setAttribute('width', num(v.placed.w + 80));
  sheet.setAttribute('height', num(v.placed.h + 80));
  draw(v, v.placed, svg.querySelector('.inside'), moves || (() => {}), [0, 0], [0, 0]);
  v.steps = storyOf(v);
}
const place = ([x, y]) => `translate(${num(x)} ${num(y)})`;
function draw(v, p, group, moves, before, now) {
  const L = v.levels[p.path], was = v.drawn.get(p.path), plus = (a, b) => [a[0] + b[0], a[1] + b[1]];
  if (was && was.p === p) return;
  const markupOf = k => p.inner[k] ? frameMarkup(p.inner[k].path, `${p.path}:${k}`, v.levels[p.inner[k].path], p.boxes[k]) : nodeMarkup(v.from[p.path] + k, `${p.path}:${k}`, L.n[k], p.boxes[k], L.i[k].lines.slice(0, 2).join(': '));
  const spot = k => p.inner[k] ? cornerOf(p.boxes[k]) : p.boxes[k];
  if (!was) {
    const words = e => e[2] || `${L.n[e[0]][0]} to ${L.n[e[1]][0]}: ${e[3] || '×1, or rearranged'}`;
    group.innerHTML = p.lines.map((line, j) => edgeMarkup(v.firstEdge[p.path] + j, L.e[j], line, words(L.e[j]))).join('') + p.boxes.map((b, k) => markupOf(k)).join('');
    const made = [...group.children], edges = p.lines.map((line, j) => ({element: made[j], shape: shapeOf(line), at: line.points[0]}));
    v.drawn.set(p.path, {p, edges, items: p.boxes.map((b, k) => ({element: made[edges.length + k], at: spot(k), open: !!p.inner[k]}))});
    for (const k in p.inner) draw(v, p.inner[k], made[edges.length + +k].lastChild, moves, before, plus(now, p.corner(k)));
    return;
  }
  const carry = (own, to, far) => {
    if (place(own.at) !== place(to)) { own.element.setAttribute('transform', place(to)); moves(own.element, own.at, to, plus(before, own.at), plus(now, to), far); }
    own.at = to;
  };
  p.lines.forEach((line, j) => {
    const own = was.edges[j], shape = shapeOf(line);
    if (!alike(own.shape, shape)) {
      own.shape = shape;
      own.element.innerHTML = own.element.firstChild.outerHTML + strokes(L.e[j], line);
      own.element.setAttribute('transform', place(own.at = line.points[0]));
      moves(own.element, null, own.at, null, plus(now, own.at));
    } else carry(own, line.points[0]);
  });
  p.boxes.forEach((b, k) => {
    const own = was.items[k], inside = p.inner[k], to = spot(k);
    if (own.open !== !!inside) {
      const [made] = parsed(markupOf(k));
      if (own.open) forget(v, was.p.inner[k]);
      own.element.replaceWith(made);
      Object.assign(own, {element: made, at: to, open: !!inside});
      if (inside) draw(v, inside, made.lastChild, moves, before, plus(now, p.corner(k)));
      moves(made, null, to, null, plus(now, to));
      return;
    }
    const old = own.at;
    if (inside && inside !== was.p.inner[k]) {
      const rect = own.element.querySelector('rect'), [, , w, h] = b;
      rect.setAttribute('width', num(w));
      rect.setAttribute('height', num(h));
      draw(v, inside, own.element.lastChild, moves, plus(before, was.p.corner(k)), plus(now, p.corner(k)));
    }
    carry(own, to, b);
  });
  was.p = p;
}
function forget(v, p) {
  v.drawn.delete(p.path);
  for (const k in p.inner) forget(v, p.inner[k]);
}
function storyOf(v) {
  const told = (path, s) => ({...s, n: v.drawn.get(path).items[s.n].open ? -1 : v.from[path] + s.n, e: s.e.map(j => v.firstEdge[path] + j)});
  const inside = (path, k) => { const child = v.levels[path].n[k][4]; return child && v.opened.has(child) ? child : null; };
  const given = path => [...v.levels[path].f.filter(s => s.p === 'given').map(s => told(path, s)), ...v.levels[path].n.flatMap((n, k) => inside(path, k) !== null ? given(inside(path, k)) : [])];
  const forth = path => v.levels[path].f.filter(s => s.p !== 'given').flatMap(s => inside(path, s.n) !== null ? forth(inside(path, s.n)) : [told(path, s)]);
  const back = path => {
    const L = v.levels[path], groups = L.n.map(() => []);
    let target = 0;
    L.b.forEach(s => { if (s.p === 'backward') target = L.e[s.e[0]][1]; groups[target].push(s); });
    return L.n.map((n, k) => k).reverse().flatMap(k => [...(inside(path, k) !== null ? back(inside(path, k)) : []), ...groups[k].map(s => told(path, s))]);
  };
  const last = v.from[''] + v.levels[''].n.length - 1;
  return [...given(''), ...forth(''), ...v.turn.map(s => ({...s, n: last, e: []})), ...back('')];
}
// What signs mean: beside the picture, and under it in a file.
const isWide = item => item[2].startsWith('gradient: over');
function tellLegend(k) {
  all('.view')[k].querySelector('.legend').innerHTML = data.views[k].legend.map(i => `<span${isWide(i) ? ' class="widths"' : ''}>${i[1] ? `<svg aria-hidden="true" width="${i[0]}" height="16" viewBox="0 -12 ${i[0]} 16">${i[1]}</svg>` : ''}${escape(i[2])}</span>`).join('');
}
function below(svg, own) {
  const v = own.viewBox.baseVal, pen = document.createElement('canvas').getContext('2d'), back = own.classList.contains('back') || own.classList.contains('routed'), g = document.createElementNS(SVG, 'g'), s = v.width / own.clientWidth;
  const wide = Math.max(v.width, 360 * s), paper = svg.querySelector('.paper');
  let x = 0, y = 0, made = '';
  pen.font = '11px Verdana, DejaVu Sans, sans-serif';
  for (const [room, sign, text] of view().legend.filter(i => back || !isWide(i))) {
    const shift = sign ? room + 6 : 0, long = shift + 1.06 * pen.measureText(text).width;
    if (x && x + long > wide / s - 24) { x = 0; y += 20; }
    made += `<g transform="translate(${num(x)} ${num(y)})">${sign}<text x="${num(shift)}">${escape(text)}</text></g>`;
    x += long + 20;
  }
  const high = (y + 34) * s;
  g.setAttribute('class', 'legend');
  g.setAttribute('font-size', '11');
  g.setAttribute('transform', `translate(${num(v.x + 12 * s)} ${num(v.y + v.height + 20 * s)}) scale(${s.toFixed(4)})`);
  g.innerHTML = made;
  const ground = document.createElementNS(SVG, 'rect');
  for (const [name, value] of Object.entries({class: 'paper', x: v.x, y: v.y + v.height, width: wide, height: high})) ground.setAttribute(name, value);
  svg.append(ground, g);
  for (const [name, value] of Object.entries({x: v.x, y: v.y, width: wide, height: v.height + high})) paper.setAttribute(name, value);
  svg.setAttribute('viewBox', [v.x, v.y, wide, v.height + high].map(num).join(' '));
  svg.setAttribute('width', Math.ceil(wide / s));
  svg.setAttribute('height', Math.ceil((v.height + high) / s));
  svg.setAttribute('font-family', 'DejaVu Sans, Verdana, Arial, sans-serif');
}
// Opening and closing ------------------------------------------------------------------------------------------------
const MOST_MOVING = 250;
const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
function change(how, key) {
  const v = view(), svg = box().querySelector('.stage > svg'), room = roomOf(svg), before = v.steps[at], from = {...v.seen}, old = key && cornerIn(v, key), moved = [];
  how(v);
  build(level, (...move) => moved.push(move));
  const like = v.steps.findIndex(s => s.p === before.p && s.s === before.s), turn = v.steps.findIndex(s => s.p === 'seed');
  at = like >= 0 ? like : Math.min(before.p === 'backward' || before.p === 'sum' ? turn + 1 : Math.max(0, turn - 1), v.steps.length - 1);
  picked = null; drawn = '';
  fitHeight(v, room);
  if (old) {
    const now = cornerIn(v, key);
    v.seen.x += now[0] - old[0]; v.seen.y += now[1] - old[1];
    show(v);
  }
  refresh();
  if (!calm()) glide(svg, moved, from, v.seen);
  const e = key && svg.querySelector(`.node[data-key="${CSS.escape(key)}"],.frame[data-key="${CSS.escape(key)}"]`);
  if (e) e.focus({preventScroll: true});
}
// What can be seen of it goes smoothly.
function glide(svg, moved, from, seen) {
  const px = ([x, y]) => `translate(${x}px,${y}px)`, how = {duration: 220, easing: 'ease-out'};
  const inside = (p, s, [w, h] = [0, 0]) => p && p[0] + w > s.x - 200 && p[0] < s.x + s.w + 200 && p[1] + h > s.y - 200 && p[1] < s.y + s.h + 200;
  const some = moved.filter(([, , , was, now, b]) => inside(was, from, b && b.slice(2)) || inside(now, seen, b && b.slice(2)));
  if (some.length > MOST_MOVING) return;
  if (from.x !== seen.x || from.y !== seen.y) svg.querySelector('.inside').animate([{transform: px([seen.x - from.x, seen.y - from.y])}, {transform: 'none'}], how);
  for (const [e, a, b] of some) e.animate(a ? [{transform: px(a)}, {transform: px(b)}] : [{opacity: 0}, {}], how);
}
// Where a box or its frame begins.
function cornerIn(v, key) {
  const end = key.lastIndexOf(':'), path = key.slice(0, end);
  let x = 0, y = 0, p = v.placed;
  for (const outer of ways(v, path).reverse()) { const k = v.parent[outer][1], [dx, dy] = p.corner(k); x += dx; y += dy; p = p.inner[k]; }
  const [cx, cy] = cornerOf(p.boxes[+key.slice(end + 1)]);
  return [x + cx, y + cy];
}
const open = e => { const path = e.dataset.open; stop(); change(v => v.opened.add(path), e.dataset.key); };
function close(e) { const path = e.dataset.frame, key = e.dataset.key; stop(); change(v => [...v.opened].forEach(p => { if (ways(v, p).includes(path)) v.opened.delete(p); }), key); }
function around(key) {
  const path = key.slice(0, key.lastIndexOf(':'));
  return path && box().querySelector(`.frame[data-frame="${CSS.escape(path)}"]`);
}
// Nearer and farther ---------------------------------------------------------------------------------------------------
const scaleOf = svg => svg.clientWidth / (svg.viewBox.baseVal.width || 1);
function show(v) {
  const svg = box().querySelector('.stage > svg'), s = v.seen, map = box().querySelector('.map');
  const seen = [s.x, s.y, s.w, s.h].map(num).join(' ');
  if (svg.getAttribute('viewBox') !== seen) svg.setAttribute('viewBox', seen);
  const p = v.placed, part = Math.min(1, s.w / (p.w + 20)) * Math.min(1, s.h / (p.h + 20));
  map.toggleAttribute('hidden', part > 0.7 && !map.hasAttribute('hidden') ? true : part > 0.6);
  if (map.hasAttribute('hidden')) return;
  if (v.mapped !== p) {
    v.mapped = p;
    map.setAttribute('viewBox', `-10 -10 ${num(p.w + 20)} ${num(p.h + 20)}`);
    map.innerHTML = p.boxes.map(([x, y, w, h]) => `<rect x="${num(x - w / 2)}" y="${num(y - h / 2)}" width="${num(w)}" height="${num(h)}"/>`).join('') + '<rect class="here"/>';
  }
  for (const [name, value] of Object.entries({x: s.x, y: s.y, width: s.w, height: s.h})) map.lastChild.setAttribute(name, num(value));
}
// What a window has for it: asked before anything changes, for then nothing has to be laid out for the answer.
const roomOf = svg => ({wide: svg.clientWidth || 800, high: 0.72 * innerHeight});
function fitHeight(v, room) {
  const svg = box().querySelector('.stage > svg'), s = v.seen ? room.wide / v.seen.w : 1;
  const high = Math.max(160, Math.min(room.high, (v.placed.h + 20) * s));
  if (svg.style.height !== `${high}px`) svg.style.height = `${high}px`;
  if (v.seen) v.seen.h = high / s;
}
function fit(whole) {
  const v = view(), svg = box().querySelector('.stage > svg'), wide = svg.clientWidth || 800, p = v.placed;
  let s = Math.min(1, wide / (p.w + 20));
  if (whole) s = Math.min(s, 0.72 * innerHeight / (p.h + 20)); else s = Math.max(s, 9 / 11);
  const high = Math.max(160, Math.min(0.72 * innerHeight, (p.h + 20) * s));
  svg.style.height = `${high}px`;
  v.seen = {x: wide / s >= p.w + 20 ? (p.w - wide / s) / 2 : -10, y: high / s >= p.h + 20 ? (p.h - high / s) / 2 : -10, w: wide / s, h: high / s};
  show(v);
}
// On paper all of it is seen, whatever was looked at.
let looked = null;
matchMedia('print').addEventListener('change', e => {
  if (!isNested()) return;
  const v = view();
  if (e.matches) { looked = v.seen; fit(true); } else if (looked) { v.seen = looked; looked = null; fitHeight(v, roomOf(box().querySelector('.stage > svg'))); show(v); }
});
function zoom(by, x, y) {
  const v = view(), s = v.seen, svg = box().querySelector('.stage > svg'), now = svg.clientWidth / s.w, next = Math.min(4, Math.max(0.05, now * by)), f = now / next;
  x = x === undefined ? s.x + s.w / 2 : x; y = y === undefined ? s.y + s.h / 2 : y;
  v.seen = {x: x - (x - s.x) * f, y: y - (y - s.y) * f, w: s.w * f, h: s.h * f};
  show(v);
}
function toSee(i) {
  if (!view().seen) fit();
  const v = view(), s = v.seen, [path, k] = v.where[i], [x, y] = cornerIn(v, `${path}:${k}`), [, , w, h] = v.places.get(path).boxes[k];
  if (x >= s.x && x + w <= s.x + s.w && y >= s.y && y + h <= s.y + s.h) return;
  s.x = x + (w - s.w) / 2;
  s.y = y + (h - s.h) / 2;
  show(v);
}
function spot(e) {
  const svg = box().querySelector('.stage > svg'), f = svg.getBoundingClientRect(), s = scaleOf(svg), v = view();
  return [v.seen.x + (e.clientX - f.left) / s, v.seen.y + (e.clientY - f.top) / s];
}
function stage(k) {
  const where = all('.view')[k], svg = where.querySelector('.stage > svg'), fingers = new Map();
  let moved = false;
  svg.addEventListener('wheel', e => { e.preventDefault(); if (e.shiftKey) { view().seen.x += (e.deltaX || e.deltaY) / scaleOf(svg); show(view()); } else zoom(Math.exp(-e.deltaY / 400), ...spot(e)); }, {passive: false});
  svg.addEventListener('pointerdown', e => { fingers.set(e.pointerId, e); moved = false; });
  svg.addEventListener('pointermove', e => {
    const old = fingers.get(e.pointerId);
    if (!old) return;
    if (fingers.size === 2) {
      const [other] = [...fingers.values()].filter(f => f.pointerId !== e.pointerId), far = f => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY);
      if (far(old) > 0) zoom(far(e) / far(old), ...spot(e));
      moved = true;
    } else if (moved || Math.hypot(e.clientX - old.clientX, e.clientY - old.clientY) > 4) {
      const s = scaleOf(svg), v = view();
      v.seen.x -= (e.clientX - old.clientX) / s; v.seen.y -= (e.clientY - old.clientY) / s;
      moved = true;
      show(v);
    } else return;
    fingers.set(e.pointerId, e);
  });
  for (const gone of ['pointerup', 'pointercancel', 'pointerleave']) svg.addEventListener(gone, e => fingers.delete(e.pointerId));
  svg.addEventListener('click', e => {
    if (moved) { moved = false; return; }
    const node = e.target.closest('.node'), frame = e.target.closest('.frame');
    if (node && node.dataset.open && !e.shiftKey) open(node); else if (node) pick(+node.dataset.node); else if (frame && e.target.tagName === 'text') close(frame);
  });
  where.querySelector('.map').addEventListener('click', e => {
    const map = where.querySelector('.map'), f = map.getBoundingClientRect(), b = map.viewBox.baseVal, v = view(), s = Math.min(f.width / b.width, f.height / b.height);
    v.seen.x = b.x + b.width / 2 + (e.clientX - f.left - f.width / 2) / s - v.seen.w / 2;
    v.seen.y = b.y + b.height / 2 + (e.clientY - f.top - f.height / 2) / s - v.seen.h / 2;
    show(v);
  });
  all('[data-stage]', where).forEach(b => b.addEventListener('click', () => ({near: () => zoom(1.25), far: () => zoom(0.8), fit: () => fit(true), all: () => change(v => v.opened.clear())}[b.dataset.stage]())));
}
function stageKey(e) {
  const t = e.target, frame = t.closest && t.closest('.frame'), node = t.closest && t.closest('.node');
  if (node && node.dataset.open && (e.key === 'Enter' || e.key === '+')) open(node);
  else if (frame && ['Enter', '-', '−', 'Escape'].includes(e.key)) close(frame);
  else if (node && ['-', '−', 'Escape'].includes(e.key) && around(node.dataset.key)) close(around(node.dataset.key));
  else if (e.key === 'z' || e.key === 'Z') zoom(e.key === 'z' ? 1.25 : 0.8);
  else if (e.key === 'f') fit(true);
  else return false;
  return true;
}
// All that is in any box, to be found by name, operation, role or shape.
function findNested(words, plain) {
  const v = view(), hits = [];
  for (const path in v.levels) v.levels[path].i.forEach((f, k) => { if (v.levels[path].n[k][3] === 0 && plain(`${f.lines[0]}|${f.lines[1]}|${f.a || ''}`).includes(words)) hits.push([path, k]); });
  return hits;
}
function reveal(path, k) {
  const v = view(), way = ways(v, path), i = v.from[path] + k;
  if (way.some(p => !v.opened.has(p))) change(w => way.forEach(p => w.opened.add(p)));
  if (seenOf(v, 'node', i)) { pick(i); toSee(i); }
}
