-- wrk: posts prepared lines, one after the other; counts answers that are not certificates.
--
--   wrk … -s post.lua URL -- REQUESTS TOKEN

local lines = {}
local next = 0
failed = 0
threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  for line in io.lines(arguments[1]) do
    table.insert(lines, line)
  end
  local file = io.open(arguments[2])
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. file:read("*l")
  file:close()
end

function request()
  next = next % #lines + 1
  return wrk.format(nil, nil, nil, lines[next])
end

function response(status, _, body)
  if status ~= 200 or not body:find("BEGIN CERTIFICATE", 1, true) then
    failed = failed + 1
  end
end

function done(summary, latency)
  local wrong = 0
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("failed")
  end
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"failed":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6,
    wrong + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
