/**
 * What the clauses are made of. Everything is in two halves that share nothing: `train` feeds the training file, `unseen` the file of
 * wordings, layouts and party names that never occur in training (SCI-148). Written for this project.
 *
 * Marks: {S} supplier, {C} customer, {D} start date, {N} notice period, {F} fee, {L} governing law; {X} another company, {Y} another
 * date, {Z} another duration, {A} another amount, {P} a place; {sup}, {Sup}, {cus}, {Cus} what the parties are called. Variety here is
 * what buys understanding, and each wording has to be met often enough: with five a field a model learns the sentences, with fifty it learns
 * none of them in the time there is.
 */

export type Half<T> = { train: readonly T[]; unseen: readonly T[] }

/** What the parties are called, supplier first. */
export const ROLES = [
  ['Supplier', 'Customer'],
  ['Seller', 'Buyer'],
  ['Vendor', 'Purchaser'],
  ['Provider', 'Client'],
] as const satisfies readonly (readonly [string, string])[]

/** A wording with its parties called by their roles. */
export const withRoles = (wording: string, [supplier, customer]: readonly [string, string]): string =>
  wording
    .replaceAll('{Sup}', supplier)
    .replaceAll('{sup}', supplier.toLowerCase())
    .replaceAll('{Cus}', customer)
    .replaceAll('{cus}', customer.toLowerCase())

/** Sentences that name both parties. */
export const BOTH: Half<string> = {
  train: [
    'This agreement is made between {S} (the "{Sup}") and {C} (the "{Cus}").',
    'This contract is entered into by {C} ("{Cus}") and {S} ("{Sup}").',
    '{S}, hereinafter the {Sup}, and {C}, hereinafter the {Cus}, agree as follows.',
    'Between: {S}, as {sup}, and {C}, as {cus}.',
    'The parties are {C}, the {cus}, and {S}, the {sup}.',
    'The {Sup} is {S}. The {Cus} is {C}.',
    'The {Cus} is {C}, and the {Sup} is {S}.',
    '{Sup}: {S}. {Cus}: {C}.',
    '{Cus}: {C}. {Sup}: {S}.',
    'The {sup}, {S}, and the {cus}, {C}, sign this contract.',
    '{S} is the {sup} and {C} the {cus}.',
    '{C} is the {cus} and {S} the {sup}.',
    'Contract between the {sup} {S} and the {cus} {C}.',
    'Contract between the {cus} {C} and the {sup} {S}.',
    '{S} shall deliver the services to {C}.',
    '{S} agrees to supply {C} with the products listed in Annex 1.',
    'The services are provided by {S} for {C}.',
    '{C} engages {S} to perform the work.',
    '{C} orders the goods from {S}.',
    '{C} buys the goods described below from {S}.',
    '{S} sells the goods described below to {C}.',
    '{C} has chosen {S} to deliver the equipment.',
    '{C} requests the services, and {S} agrees to provide them.',
    '{C} is supplied with all goods by {S}.',
    'Goods will be shipped by {S} and received by {C}.',
    'Under these terms {C} buys and {S} sells.',
    'At the request of {C} the work is performed by {S}.',
    'You, {C}, have ordered the following from us, {S}.',
    '{S} supplies {C}.',
    'In this contract {S} sells and {C} buys.',
    '{S} sells its products to {C}.',
    'We, {S}, deliver to you, {C}, what is listed below.',
    'The {sup}, {S}, delivers the goods to the {cus}, {C}.',
    '{S}, as {sup}, and {C}, as {cus}, are bound by these terms.',
    '{C} has asked for the services, which {S} performs.',
    '{C} (the {Cus}) and {S} (the {Sup}) have agreed on these terms.',
    '{C}, acting as {cus}, and {S}, acting as {sup}, have reached the following terms.',
    '{C} hereby appoints {S} as its {sup}.',
    '{S} accepts {C} as its {cus}.',
    '{S}, the {sup}, hands over the equipment to {C}, the {cus}.',
    '{S} delivers to {C} what is ordered below.',
    'The parties confirm that {S} delivers goods to {C}.',
    '{C} receives its goods from {S}.',
    '{C} pays {S} for the work described in the schedule.',
    '{S} leases the machines to {C}.',
    '{C} rents the machines from {S}.',
    '{S} works for {C}.',
  ],
  unseen: [
    'We, {S}, will be supplying you, {C}, on the terms that follow.',
    'Made by and between the customer {C} and the supplier {S}.',
    '{C} wishes to obtain the goods and {S} is willing to furnish them.',
    'The following binds {S} in its role as supplier and {C} in its role as customer.',
    'It is agreed that {S} sells to {C} on a non-exclusive basis.',
    '{C} has asked {S} to carry out the services described here.',
    'As provider {S} bears responsibility towards the client {C}.',
    'The work is carried out by {S} on the instructions of {C}.',
    '{C} shall be supplied by {S} throughout the term.',
    '{S}, the seller, transfers the goods to the buyer, {C}.',
  ],
}

/** Sentences that name the supplier alone. */
export const SUPPLIER: Half<string> = {
  train: [
    'The {Sup} is {S}.',
    '{Sup}: {S}.',
    '{S} is the {sup}.',
    '{S} acts as the {sup} under this contract.',
    'The {sup} under this order is {S}.',
    'The {sup}, {S}, brings its own tools.',
    '{S} (the "{Sup}") warrants that the goods are free of defects.',
    'All goods are delivered by {S}.',
    'The services are rendered by {S}.',
    '{S} shall perform the services with due care.',
    'The equipment is supplied and installed by {S}.',
    '{S} provides the services.',
    '{S} sells the goods.',
    'The products come from {S}.',
    'Work is carried out by {S}.',
    '{S} undertakes to deliver on time.',
    '{S} is responsible for delivery.',
  ],
  unseen: [
    'Supplies under this contract come from {S}.',
    'The party delivering is {S}.',
    'Delivery is the duty of {S}.',
    'As supplier we name {S}.',
    '{S} will furnish all goods.',
    'The goods are sold by {S}.',
  ],
}

/** Sentences that name the customer alone. */
export const CUSTOMER: Half<string> = {
  train: [
    'The {Cus} is {C}.',
    '{Cus}: {C}.',
    '{C} is the {cus}.',
    '{C} acts as the {cus} under this contract.',
    'The {cus} under this order is {C}.',
    'The {cus}, {C}, grants access to its premises.',
    '{C} (the "{Cus}") inspects the goods on arrival.',
    'The goods are delivered to {C}.',
    'The services are received by {C}.',
    '{C} pays all invoices without deduction.',
    'This order is placed by {C}.',
    '{C} receives the services.',
    '{C} buys the goods.',
    'All deliveries go to {C}.',
    '{C} is responsible for payment.',
    'Invoices are addressed to {C}.',
    'The work is done for {C}.',
  ],
  unseen: [
    'The party receiving the goods is {C}.',
    'As customer we name {C}.',
    'Payment is the duty of {C}.',
    'The goods are bought by {C}.',
    '{C} will take delivery of all goods.',
    'Everything is invoiced to {C}.',
  ],
}

export const START: Half<string> = {
  train: [
    'This agreement takes effect on {D}.',
    'The term begins on {D}.',
    'It shall commence on {D}.',
    'Effective date: {D}.',
    'The contract starts on {D}.',
    'Services are provided from {D} onwards.',
    'With effect from {D} the parties are bound by these terms.',
    'The agreement enters into force on {D}.',
    'Commencement date: {D}.',
    'Start of contract: {D}.',
    'These terms apply as of {D}.',
    'The agreement becomes effective {D}.',
    'It is valid from {D}.',
    'The initial term runs from {D}.',
    'Start date: {D}.',
    'The contract is in force from {D}.',
    'Work will begin on {D}.',
    'The parties are bound as of {D}.',
    'Begin: {D}.',
    'In force from {D}.',
    'Valid from {D}.',
    'Everything starts on {D}.',
  ],
  unseen: [
    'Our cooperation starts with {D}.',
    'The obligations arise for the first time on {D}.',
    'The day on which this contract comes into effect is {D}.',
    'The arrangement is to run from {D}.',
    'Operative from {D}.',
    'The relationship begins {D}.',
    'The services go live on {D}.',
    'It comes into force on {D}.',
  ],
}

export const NOTICE: Half<string> = {
  train: [
    "Either party may terminate this agreement on {N}' written notice.",
    'The contract may be terminated by giving {N} notice.',
    'Notice period: {N}.',
    'Termination requires notice of {N}.',
    'It can be cancelled with {N} prior notice.',
    'Either side may end this contract by notice of not less than {N}.',
    'A notice period of {N} applies.',
    'Termination is possible at any time subject to {N} notice.',
    'To terminate, a party must notify the other at least {N} in advance.',
    'Either party can give notice of termination, observing a period of {N}.',
    'The period of notice is {N}.',
    'Cancellation must be announced {N} beforehand.',
    'The parties may terminate for convenience with {N} notice in writing.',
    'Ordinary termination is subject to a period of {N}.',
    'Either party is entitled to terminate, giving {N} notice.',
    'For termination the parties agree on a notice period of {N}.',
    'Termination notice: {N}.',
    'Cancellation period: {N}.',
    'Notice: {N}.',
  ],
  unseen: [
    'If one of us wants to stop, the other must hear of it {N} before.',
    'Ending the contract takes {N} of notice.',
    'A party that terminates shall observe {N} notice.',
    'Notice to quit: {N}.',
    'Each side is free to terminate, provided it gives {N} notice.',
    'Termination takes effect {N} after the notice was served.',
    'The contract can be ended with notice of {N}.',
    'Notice of termination is to be sent {N} ahead.',
  ],
}

export const FEE: Half<string> = {
  train: [
    'The Customer pays a fee of {F} per month.',
    'The annual fee is {F}.',
    'Fee: {F} a year.',
    'The price of the services is {F}.',
    'The purchase price amounts to {F}.',
    'Remuneration: {F} per month.',
    'A monthly charge of {F} is payable.',
    'The contract price is {F}, excluding tax.',
    'The total price is {F}.',
    'The fee has been agreed at {F}.',
    'The goods are sold for {F}.',
    'The agreed price comes to {F}.',
    'Payment of {F} is due upon delivery.',
    'The services cost {F} per month.',
    'The buyer shall pay {F} for the goods.',
    'Price: {F}.',
    'A fixed fee of {F} covers all services.',
    'The {sup} is paid {F} a year.',
    'The {sup} charges {F} for the goods.',
    'You pay {F} for the work.',
    'A sum of {F} is due for the services.',
    'We ask {F} for all of this.',
  ],
  unseen: [
    'What you owe us for this is {F}.',
    'The services are priced at {F}.',
    'All work is covered by a payment of {F}.',
    'The sum payable for the goods is {F}.',
    'We charge {F} for everything described here.',
    'The yearly price stands at {F}.',
    'The fee payable is {F}.',
    'The price to be paid has been fixed at {F}.',
  ],
}

export const LAW: Half<string> = {
  train: [
    'This agreement is governed by the laws of {L}.',
    'The law of {L} applies.',
    'Governing law: {L}.',
    'It shall be construed in accordance with the laws of {L}.',
    'The contract is subject to the law of {L}.',
    'Applicable law: {L}.',
    'All disputes are decided under the law of {L}.',
    'The parties choose the law of {L}.',
    'This contract is governed by and interpreted under the laws of {L}.',
    'The laws of {L} govern these terms.',
    'Any claim under this agreement is governed by the law of {L}.',
    'Choice of law: {L}.',
    'The law in force in {L} applies to this agreement.',
    'This deed is governed exclusively by the law of {L}.',
    'Interpretation and performance are governed by the law of {L}.',
    'Law: {L}.',
  ],
  unseen: [
    'Should we disagree, the law of {L} decides.',
    'The legal basis of this contract is the law of {L}.',
    'The contract is to be read under the laws of {L}.',
    'The laws of {L} control.',
    'The governing law shall be that of {L}.',
    'Everything here is ruled by the laws of {L}.',
    'The law to be applied is that of {L}.',
    'We agree on the laws of {L}.',
  ],
}

/** Sentences that look like fields and are none. */
export const DISTRACTORS: Half<string> = {
  train: [
    'This document was signed on {Y}.',
    'The offer dated {Y} forms part of this contract.',
    'The annex was last revised on {Y}.',
    'The price list of {Y} no longer applies.',
    'The last meeting was held on {Y}.',
    'The letter of {Y} is attached.',
    'The draft was printed on {Y}.',
    'A sample was sent on {Y}.',
    'The parties spoke about it on {Y}.',
    'Invoices are payable within {Z}.',
    'The warranty covers {Z}.',
    'Defects are to be reported within {Z}.',
    'Prices are reviewed every {Z}.',
    'Confidential information is protected for {Z}.',
    'Samples are returned within {Z}.',
    'Questions are settled within {Z}.',
    'A deposit of {A} is held in escrow.',
    'Liability is limited to {A}.',
    'Late deliveries lead to a penalty of {A}.',
    'Insurance cover of {A} is maintained.',
    'An advance of {A} was paid earlier.',
    'The tools are worth {A}.',
    'Travel costs are refunded up to {A}.',
    'The discount is at most {A}.',
    'A spare part costs {A}.',
    'Overtime costs at most {A}.',
    'Repairs of up to {A} are included.',
    'Transport is handled by {X}.',
    'The obligations are guaranteed by {X}.',
    'The audit is carried out by {X}.',
    'The insurer is {X}.',
    'The building belongs to {X}.',
    'The lawyers of both sides are {X}.',
    'The place of delivery is {P}.',
    'The hearing takes place in {P}.',
    'The warehouse is located in {P}.',
    'Notices are sent to the registered office.',
    'Amendments must be made in writing.',
    'Neither party may assign its rights without consent.',
    'If a clause is invalid, the others remain in force.',
    'The parties keep each other informed.',
  ],
  unseen: [
    'The advisers of the parties are {X}.',
    'The parties first met on {Y}.',
    'Returned goods are credited within {Z}.',
    'A repair costs at most {A}.',
    'The office is in {P}.',
    'Complaints are answered within {Z}.',
    'A copy was filed on {Y}.',
    'Damages are capped at {A}.',
    'The premises are managed by {X}.',
    'Both parties have read this document.',
  ],
}

const words = (list: string): string[] => list.trim().split(/\s+/)

/**
 * Words of company names; a name of one half shares no word with a name of the other, legal forms aside. A name begins with a word of
 * `NAMES` and may go on with one of `SECOND`. First words are such that SmolLM2's tokenizer cuts them alike after a space, as in a clause,
 * and after a quote, as in an answer (" Kestrel", "\"Kestrel"): a small model copies pieces and misspells what it must cut anew.
 */
export const NAMES: Half<string> = {
  train: words(`Alpha Altair Antares Apex Aqua Aquila Archer Ardent Argo Ashby Ashcroft Ashford Aspen Atlantic Bancroft Barlow
    Beacon Bell Black Blue Bolton Burnley Calder Carbon Carlisle Castor Central Cirrus City Clear Clearwater Clifton
    Cobalt Collins Corvus Cross Cygnus Darwin Delta Digital Drayton East Eastgate Elmhurst Elmwood Elston Evergreen
    Fairfield Finley Forest Forge Fresh Future Garnet Global Golden Grand Green Greenhill Halden Hanley Harlow Hawthorn
    Helix Henley Hill Hilton Holcroft Honey Iron Ironbridge Jasper Keystone Lake Larch Light Lincoln Lumen Lyndhurst
    Lyra Madison Marlow Marwood Matrix Melton Meridian Midland Milford Miller Millstone Minerva Modern Moon National
    Newton Nexus Nickel Nimbus Northern Northfield Norwood Ocean Oldham Omega Onyx Osprey Oxford Pacific Park Pembroke
    Photon Pixel Pollux Port Prime Prism Quantum Quarry Radley Rapid Redford Redwood Ripley River Rockwell Rowan Royal
    Saffron Sandhurst Sapphire Selby Sherwood Sigma Silver Sirius Smith Solaris Solstice Southern Spring Star
    Stockbridge Stonefield Stratus Summer Sycamore Taylor Topaz True Urban Vantage Vector Vega Verdant Vertex Waverley
    Westbrook Weston Whitby Winter Wrexham Zenith Zephyr Arden Alton Astor Belmont Benson Camden Carver Elgin Falmouth
    Grant Lawson Malvern Paxton Regent`),
  unseen: words(`Acorn Bayside Bluebell Clover Elm Goldcrest Heron Jade Kestrel Magnolia Skylark Thistle Union Violet Whitestone
    Hydra Krypton Novara Uxbridge Weybridge Trowbridge Lichfield Deneb Iridium Osmium Tungsten Carina Stella Andromeda
    Radon Helium Jackson Sugar Rugby Rosewood Sandstone Snowdon Sunrise Tamar Wisteria Yarrow Linnet Curlew Plover
    Marigold Primrose Larkspur Bracken Kingfisher`),
}
export const SECOND: Half<string> = {
  train: words(`Valley Bridge Harbour Gate Point Field Brook Crest Cliff Peak Shore Stream Garden Hall Mill Court Square Island
    Horizon Falcon Orchard Tower Anchor Arrow Crown Lantern Cedar Maple Willow Raven`),
  unseen: words(`Meadow Ridge Terrace Compass Castle Eagle Tiger Neptune Tulip Pioneer`),
}

export const TRADES: Half<string> = {
  train: [
    'Foods',
    'Logistics',
    'Systems',
    'Textiles',
    'Energy',
    'Metals',
    'Software',
    'Printing',
    'Pharma',
    'Tools',
    'Paper',
    'Catering',
    'Consulting',
    'Motors',
    'Optics',
    'Plastics',
    'Security',
    'Instruments',
    'Packaging',
    'Interiors',
  ],
  unseen: ['Furniture', 'Ceramics', 'Robotics', 'Travel', 'Cleaning', 'Media', 'Chemicals', 'Fabrics', 'Gardens', 'Lighting'],
}

export const FORMS: readonly string[] = ['Ltd', 'Inc', 'GmbH', 'LLC', 'AG', 'BV', 'plc', 'SA', 'AB']

export const LAWS: readonly string[] = [
  'England',
  'Germany',
  'France',
  'Ireland',
  'Sweden',
  'Spain',
  'Italy',
  'Norway',
  'Denmark',
  'Finland',
  'Poland',
  'Portugal',
  'Austria',
  'Belgium',
  'Scotland',
  'New York',
  'Texas',
  'California',
  'Delaware',
  'Ontario',
  'Japan',
  'Singapore',
  'Switzerland',
  'the Netherlands',
]
export const PLACES: readonly string[] = [
  'London',
  'Hamburg',
  'Lyon',
  'Dublin',
  'Malmö',
  'Madrid',
  'Turin',
  'Oslo',
  'Aarhus',
  'Antwerp',
  'Porto',
  'Vienna',
  'Boston',
  'Toronto',
]

/** How the sentences of a clause stand on the page; `join` gets them in order. */
export type Layout = { name: string; join(sentences: readonly string[]): string }
const numbered = (mark: (i: number) => string, between: string) => (sentences: readonly string[]) =>
  sentences.map((s, i) => `${mark(i)}${s}`).join(between)
const ROMAN = ['i', 'ii', 'iii', 'iv', 'v', 'vi', 'vii', 'viii', 'ix', 'x']

export const LAYOUTS: Half<Layout> = {
  train: [
    { name: 'prose', join: (s) => s.join(' ') },
    { name: 'lines', join: (s) => s.join('\n') },
    { name: 'numbered', join: numbered((i) => `${i + 1}. `, '\n') },
    { name: 'bullets', join: numbered(() => '- ', '\n') },
    { name: 'paragraph-signs', join: numbered((i) => `§ ${i + 1} `, '\n') },
    { name: 'letters', join: numbered((i) => `(${'abcdefghij'[i]}) `, ' ') },
    { name: 'titled', join: (s) => `SERVICE AGREEMENT\n\n${s.join(' ')}` },
    { name: 'paragraphs', join: (s) => s.join('\n\n') },
  ],
  unseen: [
    { name: 'articles', join: numbered((i) => `Article ${i + 1}: `, '\n') },
    { name: 'roman', join: numbered((i) => `${ROMAN[i]}) `, '\n') },
    { name: 'letter', join: (s) => `Dear Sir or Madam,\n${s.join(' ')}\nYours faithfully` },
    { name: 'stars', join: numbered(() => '* ', '\n') },
  ],
}
