'use strict';
const data = JSON.parse(document.getElementById('story').textContent);
const get = id => document.getElementById(id);
const all = (what, where = document) => [...where.querySelectorAll(what)];
const make = (tag, text, more) => Object.assign(document.createElement(tag), text === undefined ? {} : {textContent: text}, more);
const tabs = all('[role=tab]').map(t => t.id.slice(4));
let level = 0, at = 0, tab = 'step', picked = null, route = null, timer = null, guessed = false;
const view = () => data.views[level];
const box = () => all('.view')[level];
const part = (kind, k) => box().querySelector(`.${kind}[data-${kind}="${k}"]`);

function heat(k) {
  const m = data.matrices[k], t = make('table', undefined, {className: 'heat'});
  t.createCaption().textContent = `${m.t}  ${m.s}${m.c ? `  (${m.c})` : ''}`;
  m.r.forEach((row, i) => {
    const r = t.insertRow();
    if (row) row.split(' ').forEach((v, j) => {
      const s = (m.h[i].charCodeAt(j) - 77) / 12, cell = r.insertCell();
      cell.textContent = v;
      cell.style.setProperty('--s', Math.abs(s).toFixed(2));
      if (s < 0) cell.className = 'minus';
    });
  });
  return t;
}
function numbers(list) {
  const d = make('div', undefined, {className: 'numbers'});
  d.append(...list.map(heat));
  return d;
}
function choices(where, options, answer, because, then) {
  const said = make('span', '', {role: 'status'});
  const buttons = options.map((text, k) => {
    const b = make('button', text, {type: 'button'});
    b.addEventListener('click', () => {
      buttons.forEach((other, i) => other.classList.toggle('right', i === answer));
      b.classList.toggle('wrong', k !== answer);
      said.textContent = (k === answer ? 'Yes. ' : 'No. ') + because;
      if (then) then();
    });
    return b;
  });
  where.replaceChildren(...buttons, said);
}

function paint() {
  const s = view().steps[at], turn = view().steps.findIndex(p => p.p === 'seed');
  all('.view').forEach((v, k) => { v.hidden = k !== level; });
  const svg = box().querySelector('svg');
  all('.node,.edge,.letter', svg).forEach(e => e.classList.remove('seen', 'now', 'on', 'picked'));
  const mark = (kind, k, how) => { const e = part(kind, k); if (e) e.classList.add(how); };
  const way = route === null || !view().whole ? null : data.routes.find(r => r.letter === route);
  svg.classList.toggle('routed', !!way);
  svg.classList.toggle('stepping', !way);
  svg.classList.toggle('back', at > turn);
  if (way) {
    way.nodes.forEach(k => mark('node', k, 'on'));
    way.edges.forEach(k => mark('edge', k, 'on'));
  } else {
    if (s.options && at === turn + 1) all('.node,.edge', svg).forEach(e => e.classList.add('seen'));
    for (const p of view().steps.slice(at < turn ? 0 : turn, at + 1)) {
      mark('node', p.n, 'seen');
      p.e.forEach(k => mark('edge', k, 'seen'));
    }
    mark('node', s.n, 'now');
    s.e.forEach(k => mark('edge', k, 'now'));
  }
  if (picked !== null) mark('node', picked, 'picked');
  const slider = get('at');
  slider.max = view().steps.length - 1;
  slider.value = at;
  slider.setAttribute('aria-valuetext', s.s);
  get('count').textContent = `${at + 1} of ${view().steps.length}, ${s.p}`;
  get('said').textContent = s.s;
  get('changed').textContent = s.c;
  if (s.options) choices(get('ask'), s.options, s.answer, s.because); else get('ask').replaceChildren();
  get('panel-step').replaceChildren(s.m.length ? numbers(s.m) : make('p', s.options ? 'Choose above, or go on.' : ''));
  all('[data-phase]').forEach(b => {
    const first = view().steps.findIndex(p => p.p === b.dataset.phase);
    b.disabled = first < 0;
    b.setAttribute('aria-current', b.dataset.phase === ({sum: 'backward', guess: 'backward'}[s.p] || s.p));
  });
  const about = part('node', s.n), frame = get('at').ownerDocument.querySelector('.picture');
  if (about && !way) {
    const a = about.getBoundingClientRect(), f = frame.getBoundingClientRect();
    if (a.left < f.left || a.right > f.right) frame.scrollLeft += a.left + a.width / 2 - f.left - f.width / 2;
  }
}
function tell() {
  const f = picked === null ? null : view().facts[picked], panel = get('panel-tensor');
  if (!f) { panel.replaceChildren(make('p', 'Choose a tensor: click on one, or go to one with Tab and press Enter.')); return; }
  panel.replaceChildren(make('h2', f.lines[0]), ...f.lines.slice(1).map(line => make('div', line)), numbers(f.m));
}
function tellRoutes() {
  const panel = get('panel-routes');
  if (!data.routes.length) { panel.replaceChildren(make('p', 'No routes to tell apart here: there are too many, or none.')); return; }
  const ask = make('div', undefined, {className: 'ask'}), table = make('table', undefined, {className: 'routes'});
  const show = make('button', 'just show them', {type: 'button'});
  const reveal = () => { guessed = true; table.hidden = false; show.hidden = true; remember(); };
  const most = data.routes.reduce((a, r, k) => r.part > data.routes[a].part ? k : a, 0);
  const told = `Route ${data.routes[most].letter} gives the most: its length is ${data.routes[most].size}.`;
  choices(ask, data.routes.map(r => `${r.letter}: ${r.title}`), most, told, reveal);
  show.addEventListener('click', reveal);
  const head = table.createTHead().insertRow();
  ['', 'route', 'length of its share', '', 'the chain rule along it'].forEach(t => head.append(make('th', t, {scope: 'col'})));
  const body = table.createTBody();
  data.routes.forEach(r => {
    const row = body.insertRow(), b = make('button', `show ${r.letter}`, {type: 'button'});
    b.setAttribute('aria-pressed', route === r.letter);
    b.addEventListener('click', () => { route = route === r.letter ? null : r.letter; level = Math.max(0, data.views.findIndex(v => v.whole)); tellRoutes(); refresh(); all('.routes button')[data.routes.indexOf(r)].focus(); });
    row.insertCell().append(b);
    row.insertCell().textContent = r.title;
    row.insertCell().textContent = r.size;
    const bar = make('span', '', {className: 'bar'});
    bar.style.width = `${(10 * r.part).toFixed(2)}rem`;
    row.insertCell().append(bar);
    row.insertCell().append(make('code', r.rules));
  });
  table.hidden = show.hidden = guessed;
  table.hidden = !guessed;
  panel.replaceChildren(make('p', `Which of the ${data.routes.length} routes gives the most? Guess first.`), ask, show, table);
}
function choose(name) {
  tab = tabs.includes(name) ? name : 'step';
  tabs.forEach(t => {
    const button = get(`tab-${t}`), on = t === tab;
    button.setAttribute('aria-selected', on);
    button.tabIndex = on ? 0 : -1;
    get(`panel-${t}`).hidden = !on;
  });
}
function remember() {
  const state = {step: at + 1, level, tab, node: picked, route, theme: document.documentElement.dataset.theme, guessed: guessed ? 1 : null};
  const kept = Object.entries(state).filter(([k, v]) => v !== null && v !== undefined && !(k === 'level' && !v) && !(k === 'tab' && v === 'step'));
  history.replaceState(null, '', '#' + kept.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join('&'));
}
function refresh(quiet) {
  all('[name=level]').forEach((r, k) => { r.checked = k === level; });
  paint(); tell();
  if (!quiet) remember();
}
function go(k) { at = Math.max(0, Math.min(view().steps.length - 1, k)); route = null; refresh(); }
function see(k) {
  const phase = view().steps[at].p, same = data.views[k].steps.findIndex(s => s.p === phase);
  level = k; picked = null; route = null;
  at = Math.max(0, same);
  refresh();
}
function pick(k) { picked = k; choose('tensor'); refresh(); }
function stop() { clearInterval(timer); timer = null; get('play').textContent = 'play'; get('play').setAttribute('aria-pressed', 'false'); }
function toggle() {
  if (timer) return stop();
  if (at === view().steps.length - 1) go(0);
  timer = setInterval(() => { if (at < view().steps.length - 1) go(at + 1); if (at === view().steps.length - 1 || view().steps[at].options) stop(); }, 2200);
  get('play').textContent = 'stop';
  get('play').setAttribute('aria-pressed', 'true');
}
function dark() {
  const set = document.documentElement.dataset.theme;
  return set ? set === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}
function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  get('theme').textContent = dark() ? 'light' : 'dark';
}
function find() {
  const words = get('search').value.trim().toLowerCase(), hits = [];
  view().facts.forEach((f, k) => { if (words && `${f.lines[0]} ${f.lines[1]}`.toLowerCase().includes(words)) hits.push(k); });
  all('.node').forEach(e => e.classList.remove('hit'));
  hits.forEach(k => part('node', k).classList.add('hit'));
  get('hits').textContent = words ? `${hits.length} found` : '';
  return hits;
}
// What is seen, as a file: the rules that colour the page go with the picture.
function picture() {
  const svg = box().querySelector('svg').cloneNode(true), style = document.createElementNS('http://www.w3.org/2000/svg', 'style');
  const now = getComputedStyle(document.documentElement);
  const used = get('rules').textContent;
  style.textContent = used.replace(/var\((--[\w-]+)\)/g, (_, name) => now.getPropertyValue(name).trim());
  svg.prepend(style);
  svg.removeAttribute('style');
  svg.setAttribute('role', 'img');
  all('[tabindex]', svg).forEach(e => { e.removeAttribute('tabindex'); e.removeAttribute('role'); });
  return new XMLSerializer().serializeToString(svg);
}
function hand(blob, kind) {
  const a = make('a', '', {href: URL.createObjectURL(blob), download: `${data.name.replace(/[^\p{L}\p{N}]+/gu, '_').slice(0, 60)}_${at + 1}.${kind}`});
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
}
function save(kind) {
  if (kind === 'svg') return hand(new Blob([picture()], {type: 'image/svg+xml'}), kind);
  if (kind === 'json') return hand(new Blob([JSON.stringify(data, null, 1)], {type: 'application/json'}), kind);
  const svg = box().querySelector('svg'), image = new Image(), canvas = document.createElement('canvas');
  canvas.width = 2 * svg.viewBox.baseVal.width;
  canvas.height = 2 * svg.viewBox.baseVal.height;
  image.onload = () => { canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height); canvas.toBlob(blob => hand(blob, kind), 'image/png'); };
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(picture());
}

get('at').addEventListener('input', e => { stop(); go(+e.target.value); });
get('back').addEventListener('click', () => { stop(); go(at - 1); });
get('on').addEventListener('click', () => { stop(); go(at + 1); });
get('play').addEventListener('click', toggle);
get('theme').addEventListener('click', () => { theme(dark() ? 'light' : 'dark'); remember(); });
get('search').addEventListener('input', find);
get('search').addEventListener('keydown', e => {
  if (e.key === 'Enter') { const hits = find(); if (hits.length) { pick(hits[0]); part('node', hits[0]).focus(); } }
  if (e.key === 'Escape') { e.target.value = ''; find(); e.target.blur(); }
});
all('[data-save]').forEach(b => b.addEventListener('click', () => save(b.dataset.save)));
all('[data-phase]').forEach(b => b.addEventListener('click', () => { stop(); go(view().steps.findIndex(s => s.p === b.dataset.phase)); }));
all('[name=level]').forEach(r => r.addEventListener('change', () => { stop(); see(+r.value); }));
all('.view').forEach((v, k) => all('.node', v).forEach(n => {
  n.tabIndex = 0;
  n.setAttribute('role', 'button');
  n.setAttribute('aria-label', data.views[k].facts[+n.dataset.node].lines.slice(0, 2).join(': '));
  n.addEventListener('click', () => pick(+n.dataset.node));
}));
all('.view .edge').forEach(e => { e.setAttribute('role', 'img'); e.setAttribute('aria-label', e.querySelector('title').textContent); });
all('.view .letter').forEach(e => e.setAttribute('aria-hidden', 'true'));
tabs.forEach(t => get(`tab-${t}`).addEventListener('click', () => { choose(t); remember(); }));
document.querySelector('[role=tablist]').addEventListener('keydown', e => {
  const move = {ArrowRight: 1, ArrowLeft: -1}[e.key];
  if (!move) return;
  const next = tabs[(tabs.indexOf(tab) + move + tabs.length) % tabs.length];
  choose(next); get(`tab-${next}`).focus(); remember();
  e.preventDefault(); e.stopPropagation();
});
document.addEventListener('keydown', e => {
  const t = e.target;
  if (e.altKey || e.ctrlKey || e.metaKey || t.type === 'search') return;
  const steps = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: view().steps.length - 1};
  if (e.key in steps && t.type !== 'radio') { stop(); go(steps[e.key]); }
  else if ((e.key === 'Enter' || e.key === ' ') && t.classList.contains('node')) pick(+t.dataset.node);
  else if (e.key === ' ' && !/BUTTON|SUMMARY|INPUT/.test(t.tagName)) toggle();
  else if (e.key === '/') { get('search').focus(); }
  else if (e.key === 'v') { stop(); see((level + 1) % data.views.length); }
  else if (e.key === 't') get('theme').click();
  else if (/^[1-9]$/.test(e.key) && tabs[e.key - 1]) { choose(tabs[e.key - 1]); remember(); }
  else if (e.key === 'Escape') { route = null; picked = null; tellRoutes(); refresh(); }
  else return;
  e.preventDefault();
});
function restore() {
  const from = Object.fromEntries(location.hash.slice(1).split('&').filter(Boolean).map(p => { const [k, v] = p.split('='); try { return [k, decodeURIComponent(v || '')]; } catch { return [k, '']; } }));
  const whole = (text, count) => /^\d+$/.test(text || '') && +text < count ? +text : null;
  level = whole(from.level, data.views.length) || 0;
  const step = whole(from.step, view().steps.length + 1);
  at = Math.max(0, (step || 1) - 1);
  picked = whole(from.node, view().facts.length);
  route = data.routes.some(r => r.letter === from.route) ? from.route : null;
  guessed = from.guessed === '1';
  theme(['light', 'dark'].includes(from.theme) ? from.theme : undefined);
  choose(from.tab);
  tellRoutes();
  refresh(true);
}
window.addEventListener('hashchange', restore);
restore();
