-- The health of a BackupMX for Argo CD: the value of `resource.customizations.health.backupmx.io_BackupMX` in the
-- ConfigMap argocd-cm. It looks at neither the primary nor the queue: an outage of the primary must not stop the sync that
-- repairs it.
local health = {status = "Progressing", message = "The operator has not seen this yet"}
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
for _, condition in ipairs(status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    return {status = "Degraded", message = condition.message}
  end
  if condition.type == "Ready" then
    if condition.status == "True" then
      health = {status = "Healthy", message = condition.message}
    else
      health = {status = "Progressing", message = condition.message}
    end
  end
end
return health
