# What jq has and the interpreter has not.

def @csv:
  def cell:
    if . == null then ""
    elif isstring then "\"" + (split("\"") | join("\"\"")) + "\""
    elif isnumber or isboolean then tostring
    else error("\(type) cannot be in a row of csv") end;
  [.[] | cell] | join(",");

def @tsv:
  def escape($from; $to): split($from) | join($to);
  def cell:
    if . == null then ""
    elif isstring then
      escape("\\"; "\\\\") | escape("\t"; "\\t") | escape("\n"; "\\n") | escape("\r"; "\\r")
    elif isnumber or isboolean then tostring
    else error("\(type) cannot be in a row of tsv") end;
  [.[] | cell] | join("\t");

def IN(values): . as $it | any(values; . == $it);
def IN(these; values): any(these; IN(values));
def INDEX(rows; key): reduce rows as $row ({}; . + {($row | key | tostring): $row});
def INDEX(key): INDEX(.[]; key);
def ascii: [.] | implode;
def date: todate;
def leaf_paths: paths(scalars);

# A format makes up to 255 characters of each of its own, and these loop as often as they are told.
def strftime($format):
  if ($format | isstring) and 4096 < ($format | utf8bytelength) then
    error("strftime: the format is too long")
  else unguarded_strftime($format) end;
def jn(n; x): n as $n | if 10000 < ($n | abs) then error("jn: the order is too large")
  else unguarded_jn($n; x) end;
def yn(n; x): n as $n | if 10000 < ($n | abs) then error("yn: the order is too large")
  else unguarded_yn($n; x) end;
