-- Every study that is stable goes to the node, but for what the node has sent. The node knows its own results even so.
function OnStableStudy(studyId, tags, metadata)
   local series = {}
   for _, id in ipairs(ParseJson(RestApiGet('/studies/' .. studyId))['Series']) do
      local one = ParseJson(RestApiGet('/series/' .. id))['Instances'][1]
      local known, from = pcall(RestApiGet, '/instances/' .. one .. '/metadata/RemoteAET')
      if not known or from ~= 'RADNODE' then
         table.insert(series, id)
      end
   end
   if #series > 0 then
      RestApiPost('/modalities/node/store', DumpJson({Resources = series, Synchronous = false}, true))
   end
end
