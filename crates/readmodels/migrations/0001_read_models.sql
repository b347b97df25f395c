create table plimsoll.progress (
    one boolean primary key default true check (one),
    identity text not null,
    history bigint not null,
    swept bigint not null,
    as_of timestamptz
);
comment on table plimsoll.progress is 'How far the read models go: history holds everything up to record `history`, and every row of the accounts is right as of a record at or after `swept`.';

create table plimsoll.accounts (
    account text primary key,
    sequence bigint not null,
    as_of timestamptz not null,
    standing text not null,
    intent bigint,
    unvalued text,
    positions jsonb not null,
    collateral jsonb not null
);
comment on table plimsoll.accounts is 'Accounts as they stand; `sequence` is the record since which a row is known to be so.';

create table plimsoll.margins (
    account text primary key,
    sequence bigint not null,
    as_of timestamptz not null,
    parameters bigint not null,
    equity numeric,
    im numeric,
    mm numeric,
    im_excess numeric,
    mm_excess numeric
);
comment on table plimsoll.margins is 'Margins as they stand, valuation currency; nothing while an account cannot be valued.';
create index margins_by_excess on plimsoll.margins (mm_excess);

create table plimsoll.scenario_vectors (
    account text not null,
    underlying text not null,
    rank integer not null,
    sequence bigint not null,
    as_of timestamptz not null,
    scenarios text[] not null,
    pnl numeric[] not null,
    primary key (account, underlying)
);
comment on table plimsoll.scenario_vectors is 'Profit (> 0) and loss by scenario of the accounts with the least equity over maintenance margin, worst first by `rank`.';

create table plimsoll.parameter_changes (
    sequence bigint not null,
    ordinal integer not null,
    as_of timestamptz not null,
    version bigint not null,
    parameter text not null,
    value_before numeric not null,
    value_after numeric not null,
    maintenance jsonb not null,
    causes jsonb not null,
    words text not null,
    primary key (sequence, ordinal)
);
create index parameter_changes_by_name on plimsoll.parameter_changes (parameter, sequence);

create table plimsoll.liquidations (
    sequence bigint not null,
    ordinal integer not null,
    as_of timestamptz not null,
    effect text not null,
    account text,
    intent bigint,
    body jsonb not null,
    primary key (sequence, ordinal)
);
create index liquidations_by_account on plimsoll.liquidations (account, sequence);

create table plimsoll.gaps (
    after_record bigint primary key,
    until_record bigint not null
);
comment on table plimsoll.gaps is 'Records whose history is missing: pruned from the journal before it was written here.';
