// Kinesalite on a port of this machine; on SIGUSR2 its clock goes on by 25 hours, which is past a stream's retention.
const [folder, port] = process.argv.slice(2)
const home = `${folder}/node_modules/kinesalite`
const now = Date.now
let ahead = 0
Date.now = () => now() + ahead
process.on('SIGUSR2', () => { ahead += 25 * 3600 * 1000; console.log('25 hours later') })

// Kinesalite 3.3 never answers AT_TIMESTAMP when no record has come since; the service begins with the next one then.
const path = require.resolve(`${home}/actions/getShardIterator`)
const getShardIterator = require(path)
require.cache[path].exports = (store, data, answer) => {
  if (data.ShardIteratorType !== 'AT_TIMESTAMP') return getShardIterator(store, data, answer)
  const {Timestamp, ...rest} = data
  getShardIterator(store, {...rest, ShardIteratorType: 'LATEST'}, (...latest) => {
    const timer = setTimeout(() => answer(...latest), 100)
    getShardIterator(store, data, (...found) => { clearTimeout(timer); answer(...found) })
  })
}

require(home)({createStreamMs: 0, updateStreamMs: 0, deleteStreamMs: 0, shardLimit: 1000}).listen(Number(port), '127.0.0.1')
