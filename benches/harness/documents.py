"""Documents shaped like those of a shop: orders, events, recordings of 16 MiB, settings; the same in every run.

A document is BSON from the start. Its parts (customers, products, sentences) come from pools that were encoded once, and
what makes it a document of its own (ids, dates, amounts, the choice of parts) is drawn anew, so that gzip finds in its
window of 32 KiB what it would find in real data: the same field names, similar values, hardly a part twice.
"""

import itertools
import random
import struct

# January 2025; an order every 200 ms.
EPOCH = 1_735_689_600_000
INTERVAL = 200
MAX_DOCUMENT = 16 * 1024 * 1024
# Numbers in an array that fills such a document but for a remark.
READINGS = 1_376_000

FREQUENT = """the of and to in a is that for it as was with be by on not he his but at are this have from or had an they
which one you were all her she there would their we him been has when who will no more if out so up said what its about
than into them can only other time new some could these two may first then do any like my now over such our man me even
most made after also did many off before must well back through years where much your way down should because long each
just state those people too how good very please deliver leave parcel door neighbour gift wrap invoice order changed
customer called again late""".split()
SYLLABLES = """an ar ber con dal de der din el en er es fa fer gen hal han her in ing ja kel kon la lan len lin lo man mar
me men mi mon na nel ner ni no on or per ra ran rel ri ro sa sel sen ser si son ta tan tel ten ter ti ton tra un va ver
vi za""".split()

pack_int, pack_long, pack_double = struct.Struct("<i").pack, struct.Struct("<q").pack, struct.Struct("<d").pack
ORDER_NUMBERS = struct.Struct("<12I")
EVENT_NUMBERS = struct.Struct("<10I")


def string(text):
    text = text.encode()
    return pack_int(len(text) + 1) + text + b"\0"


def decimal(cents):
    """A Decimal128 with two places."""
    return struct.pack("<QQ", cents, (6176 - 2) << 49)


def element(kind, name, value):
    return bytes([kind]) + name.encode() + b"\0" + value


def document(*elements):
    body = b"".join(elements)
    return pack_int(len(body) + 5) + body + b"\0"


def text_field(name, text):
    return element(0x02, name, string(text))


class Shop:
    """The pools, and the documents made of them."""

    def __init__(self):
        draw = random.Random("pools")
        words = ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(6000)]
        self.words = list(dict.fromkeys(FREQUENT + words))
        weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(self.words))))
        self.text = " ".join(draw.choices(self.words, cum_weights=weights, k=700_000)).encode()
        names = [word.capitalize() for word in self.words[150:] if len(word) > 3]
        self.customers = [self._customer(draw, names) for _ in range(5000)]
        self.products = [self._product(draw) for _ in range(4000)]
        self.statuses = [text_field("status", status) for status in
                         ("delivered", "delivered", "delivered", "shipped", "paid", "open", "returned", "cancelled")]
        self.payments = [element(0x02, "method", string(method)) for method in
                         ("card", "card", "paypal", "invoice", "sepa", "applepay", "voucher", "card")]
        self.carriers = [text_field("carrier", carrier) for carrier in ("DHL", "UPS", "DPD", "Hermes")]
        self.readings = b"".join(b"\x10%d\0%s" % (position, bytes(4)) for position in range(READINGS))
        self.machines = [draw.randbytes(5) for _ in range(4)]
        self.types = [text_field("type", kind) for kind in
                      ("view", "view", "view", "view", "click", "click", "search", "cart.add", "cart.remove", "checkout")]
        self.agents = [text_field("agent", self._agent(draw)) for _ in range(120)] + 30 * [text_field("agent", "app/7.2")]
        self.places = [self._place(draw, names) for _ in range(3000)]
        self.urls = [text_field("url", self._url(draw)) for _ in range(8000)]
        self.referrers = [text_field("referrer", self._url(draw)) for _ in range(8000)]

    def orders(self, seed):
        """Orders without end, of 0.5 to 2 KiB."""
        draw = random.Random(f"orders {seed}")
        bits, randbytes, text, limit = draw.getrandbits, draw.randbytes, self.text, len(self.text) - 512
        for number in itertools.count():
            (a, b, c, d, e, f, g, h, i, j, k, m) = ORDER_NUMBERS.unpack(randbytes(48))
            now = EPOCH + number * INTERVAL
            items, net = [], 0
            for position in range(1 + (a & 0xFFFF) * (b & 0xFFFF) // 0x28000000):
                choice = bits(32)
                price, product = self.products[choice % 4000]
                quantity = 1 + (choice >> 12) % 3
                net += price * quantity
                items.append(b"\x03%d\0" % position)
                items.append(product)
                items.append(b"\x10quantity\0")
                items.append(pack_int(quantity))
                items.append(b"\x01discount\0")
                items.append(pack_double((choice >> 16) % 64 / 256))
                items.append(b"\0")
            items = b"".join(items)
            start = c % limit
            note = text[start:start + d % 256]
            tax = net * 19 // 100
            body = b"".join((
                b"\x07_id\0", self._id(number, now, e),
                b"\x02number\0\x0d\0\0\0SO-%09d\0" % (number * 7 + e % 7),
                self.statuses[f & 7],
                b"\x09createdAt\0", pack_long(now + g % INTERVAL),
                b"\x09updatedAt\0", pack_long(now + g % 900_000_000),
                self.customers[h % 5000],
                b"\x04items\0", pack_int(len(items) + 5), items, b"\0",
                b"\x03totals\0\x53\0\0\0\x13net\0", decimal(net), b"\x13tax\0", decimal(tax),
                b"\x13gross\0", decimal(net + tax), b"\x02cur\0\x04\0\0\0EUR\0\0",
                self._payment(i, now, randbytes), self._shipping(j, k, now) if a % 8 else b"",
                b"\x02note\0", pack_int(len(note) + 1), note, b"\0",
                b"\x08gift\0", b"\1" if m % 9 == 0 else b"\0",
                b"\x10revision\0", pack_int(m % 12)))
            yield b"".join((pack_int(len(body) + 5), body, b"\0"))

    def events(self, seed):
        """Events without end, of 200 to 400 bytes."""
        draw = random.Random(f"events {seed}")
        randbytes = draw.randbytes
        sessions = [(randbytes(16), draw.choice(self.agents), draw.choice(self.places)) for _ in range(512)]
        for number in itertools.count():
            (a, b, c, d, e, f, g, h, i, j) = EVENT_NUMBERS.unpack(randbytes(40))
            now = EPOCH + number * 30
            if a % 12 == 0:
                sessions[b % 512] = (randbytes(16), self.agents[c % 150], self.places[d % 3000])
            session, agent, place = sessions[e % 512]
            body = b"".join((
                b"\x07_id\0", self._id(number, now, f),
                self.types[g % 10],
                b"\x09at\0", pack_long(now + h % 30),
                b"\x05session\0\x10\0\0\0\x04", session,
                self.urls[i % 8000], self.referrers[j % 8000] if d % 3 == 0 else b"", agent,
                b"\x03counters\0\x32\0\0\0\x10ms\0", pack_int(20 + j % 4000), b"\x12bytes\0", pack_long(a % 250_000),
                b"\x10seen\0", pack_int(b % 60), b"\x10errors\0", pack_int(0 if c % 50 else 1),
                b"\0", place))
            yield b"".join((pack_int(len(body) + 5), body, b"\0"))

    def recordings(self, seed):
        """Documents of exactly 16 MiB without end: an array that nobody stopped, a million readings of a device."""
        draw = random.Random(f"recordings {seed}")
        levels = [pack_int(20_000 + level) for level in range(512)]
        for number in itertools.count():
            head = b"".join((element(0x10, "_id", pack_int(number)), text_field("device", draw.choice(self.words)),
                             element(0x09, "startedAt", pack_long(EPOCH + number * 86_400_000)), b"\x04readings\0"))
            noise, lowest = draw.randbytes(READINGS), draw.randrange(256)
            bytes_of = [bytes(level[place] for level in levels[lowest:lowest + 256]) for place in range(4)]
            readings, begin, start = bytearray(self.readings), 0, 0
            # Elements whose positions have as many digits are equally far apart: each byte of their values in one go.
            for digits in range(1, len(str(READINGS)) + 1):
                count, width = min(10 ** digits, READINGS) - begin, digits + 6
                for place in range(4):
                    first = start + digits + 2 + place
                    readings[first:start + count * width:width] = noise[begin:begin + count].translate(bytes_of[place])
                begin, start = begin + count, start + count * width
            body = b"".join((head, pack_int(len(readings) + 5), readings, b"\0\x02remark\0"))
            remark = MAX_DOCUMENT - 4 - len(body) - 4 - 2
            yield b"".join((pack_int(MAX_DOCUMENT), body, pack_int(remark + 1), self.text[:remark], b"\0\0"))

    def settings(self, seed):
        """Small documents without end, of about 150 bytes."""
        draw = random.Random(f"settings {seed}")
        for number in itertools.count():
            yield document(element(0x10, "_id", pack_int(number)), text_field("key", ".".join(draw.choices(self.words, k=2))),
                           element(0x01, "value", pack_double(draw.random() * 1000)),
                           element(0x09, "changedAt", pack_long(EPOCH + draw.getrandbits(34))),
                           text_field("text", " ".join(draw.choices(self.words, k=8))))

    def _id(self, number, now, choice):
        """An ObjectId of one of four machines: almost in the order of insertion, as it is in a real collection."""
        return (now // 1000).to_bytes(4, "big") + self.machines[choice & 3] + (number & 0xFFFFFF).to_bytes(3, "big")

    def _payment(self, choice, now, randbytes):
        method = self.payments[choice & 7]
        body = b"".join((method, b"\x02token\0\x19\0\0\0", randbytes(12).hex().encode(), b"\0",
                         b"\x08paid\0", b"\0" if choice % 11 == 0 else b"\1", b"\x09at\0", pack_long(now + choice % 86_400_000)))
        return b"".join((b"\x03payment\0", pack_int(len(body) + 5), body, b"\0"))

    def _shipping(self, choice, digits, now):
        body = b"".join((self.carriers[choice & 3], b"\x02tracking\0\x15\0\0\0%010d%010d\0" % (choice, digits),
                         b"\x09eta\0", pack_long((now // 86_400_000 + 2 + digits % 5) * 86_400_000),
                         b"\x01cost\0", pack_double(2.5 + choice % 900 / 100)))
        return b"".join((b"\x03shipping\0", pack_int(len(body) + 5), body, b"\0"))

    def _customer(self, draw, names):
        first, last, city = draw.choice(names), draw.choice(names), draw.choice(names)
        guest = draw.random() < 0.3
        address = document(text_field("street", f"{draw.choice(names)} {draw.randint(1, 180)}"), text_field("city", city),
                           text_field("zip", f"{draw.randrange(100_000):05}"),
                           text_field("country", draw.choice(("DE", "DE", "AT", "CH", "FR", "NL"))))
        loyalty = document(text_field("tier", draw.choice(("none", "silver", "gold"))),
                           element(0x10, "points", pack_int(draw.randrange(40_000))))
        return element(0x03, "customer", document(
            element(0x12, "id", pack_long(draw.randrange(10**9))),
            element(0x03, "name", document(text_field("first", first), text_field("last", last))),
            text_field("email", f"{first.lower()}.{last.lower()}{draw.randrange(100)}@example.com"),
            *(() if guest else (text_field("phone", f"+49{draw.randrange(10**10):010}"),
                                element(0x03, "address", address), element(0x03, "loyalty", loyalty)))))

    def _product(self, draw):
        """Its price, and the beginning of a line of an order: quantity, discount and the end follow."""
        price = draw.randint(199, 39_999)
        tags = document(*(text_field(str(n), draw.choice(self.words)) for n in range(draw.randint(0, 3))))
        elements = b"".join((text_field("sku", f"{draw.randrange(1 << 32):08X}-{draw.randrange(100):02}"),
                             text_field("name", " ".join(draw.choices(self.words[150:], k=draw.randint(1, 4)))),
                             element(0x13, "price", decimal(price)),
                             element(0x01, "weight", pack_double(round(draw.random() * 9, 2))),
                             element(0x04, "tags", tags)))
        rest = len(b"\x10quantity\0") + 4 + len(b"\x01discount\0") + 8 + 1
        return price, pack_int(4 + len(elements) + rest) + elements

    def _place(self, draw, names):
        return element(0x03, "geo", document(
            text_field("country", draw.choice(("DE", "AT", "CH", "FR", "NL", "PL"))), text_field("city", draw.choice(names)),
            element(0x01, "lat", pack_double(draw.uniform(43, 55))), element(0x01, "lon", pack_double(draw.uniform(-2, 18)))))

    def _agent(self, draw):
        system = draw.choice(("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7"))
        return f"Mozilla/5.0 ({system}) Chrome/{draw.randint(90, 140)}.0.{draw.randint(1000, 7000)}.{draw.randint(1, 200)}"

    def _url(self, draw):
        page = "-".join(draw.choices(self.words, k=3))
        return f"/{draw.choice(('p', 'c', 's', 'blog'))}/{page}?ref={draw.randrange(1 << 24):x}"
